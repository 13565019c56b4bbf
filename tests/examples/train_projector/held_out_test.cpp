#include "train_projector/held_out.hpp"

#include <cctype>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/project/projectors/identity.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using namespace kvtransfer::train_projector;

namespace {

/// What the lab model, projected onto itself by the identity, makes of held-out questions, by condition.
std::map<std::string, held_out_score> scores_of(const std::string& condition, std::int64_t questions) {
  const std::filesystem::path lab = KVT_SOURCE_DIR "/examples/models/lab-llama";
  const model_pair models{causal_lm::open(lab, at::kCPU, at::kFloat), causal_lm::open(lab, at::kCPU, at::kFloat),
                          harness(condition)};
  const text_pair texts(open_tokenizer(lab), open_tokenizer(lab), true, {});
  std::map<std::string, held_out_score> scores;
  for (const held_out_score& score :
       score_held_out(models, projectors::identity(6), texts, held_out_set::questions(questions, 0), true)) {
    scores[score.condition] = score;
  }
  return scores;
}

}  // namespace

TEST_CASE("a response is scored in the tokens that the model writes", "[train_projector]") {
  const auto scores = scores_of("", 16);
  CHECK(scores.at("oracle").right >= 15);
  CHECK(scores.at("oracle").loss < 0.1);
  CHECK(scores.at("projected").right == scores.at("oracle").right);
  CHECK(scores.at("projected").loss == Approx(scores.at("oracle").loss).margin(1e-4));
  CHECK(scores.at("own").right == 0);
  CHECK(scores.at("own").loss > 1);
  CHECK(scores.at("other").loss > 1);
  CHECK(scores.at("oracle").successes.size() == 16);
  std::vector<held_out_score> all;
  for (const auto& [condition, score] : scores) {
    all.push_back(score);
  }
  const statistics::recovery recovered = recovery_of(all);  // the identity carries all that there is
  CHECK(recovered.content.mean == Approx(recovered.possible.mean));
  REQUIRE(recovered.share);
  CHECK(recovered.share->share == Approx(1.0));
}

TEST_CASE("a harness's mistake is seen in what is projected, and not in the oracle", "[train_projector]") {
  const auto right = scores_of("", 16);
  const auto mistaken = scores_of("cache:generated_eos+second_bos", 16);
  CHECK(mistaken.at("oracle").loss == Approx(right.at("oracle").loss).margin(1e-5));
  CHECK(mistaken.at("projected").loss > right.at("projected").loss + 1);
  CHECK(mistaken.at("projected").right == 0);
}

TEST_CASE("held-out examples are a suite, and their names are in no training text", "[train_projector]") {
  const suite questions = suite_of(held_out_set::questions(20, 0), "questions", "some");
  const suite modes = suite_of(held_out_set::modes(20, 0), "modes", "some");
  const temporary_folder folder;
  CHECK(read_suite(folder.put("questions.json", suite_text(questions))) == questions);
  CHECK(read_suite(folder.put("modes.json", suite_text(modes))) == modes);
  CHECK(questions.tests.size() == 20);
  for (const test_case& test : modes.tests) {
    CHECK(test.markers == std::vector<std::string>{"do not know"});
    CHECK(test.source.find("do not know") == std::string::npos);
  }
  for (const test_case& test : questions.tests) {
    for (const std::string& marker : test.markers) {
      CHECK(test.source.find(marker) != std::string::npos);
      const bool is_name = std::isupper(static_cast<unsigned char>(marker.front())) != 0 && marker != "Celsius" &&
                           test.target.find("formula") == std::string::npos;
      CHECK((!is_name || corpus::split_of(marker) == corpus::split::held_out));
    }
  }
}
