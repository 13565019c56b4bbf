#include "experiment/oracle_reference.hpp"

#include <ATen/ops/log_softmax.h>

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/score.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// The lab model on a test whose answer it reads from the source.
struct lab_test {
  std::string folder = KVT_SOURCE_DIR "/examples/models/lab-llama";
  causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  prompt_encoding encoding{open_tokenizer(folder)};
  test_case test = read_suite(KVT_SOURCE_DIR "/examples/phase2a/suites/phase2a.json").tests.front();
  prompt_ids prompts = encode_prompts(encoding, test);
  generation_config settings{.max_new_tokens = 20, .eos_token_ids = model.config.eos_token_ids};

  [[nodiscard]] std::optional<oracle_reference> read() const {
    return read_oracles(model, encoding, {{&test, &prompts}}, settings).front();
  }
  [[nodiscard]] oracle_reference oracle() const { return *read(); }

  [[nodiscard]] trial_record measured(const plan& input) const {
    trial_record trial;
    const oracle_reference along = oracle();
    measure_along(model, {{&along, &input, &trial}});
    return trial;
  }
};

}  // namespace

TEST_CASE("markers are read where the oracle's answer spells them", "[experiment][oracle_reference]") {
  const lab_test setup;
  const oracle_reference oracle = setup.oracle();
  const std::string text = lower_case(setup.encoding.tokens.decode(oracle.answer));
  REQUIRE(oracle.markers.size() == 2);
  std::int64_t in_answer = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const bool there = text.find(lower_case(setup.test.markers[i])) != std::string::npos;
    const slot_range place = oracle.markers[i].in_answer;
    CHECK(place.empty() != there);
    if (there) {
      ++in_answer;
      const std::vector<std::int64_t> spelling{oracle.answer.begin() + place.begin,
                                               oracle.answer.begin() + place.end()};
      CHECK(lower_case(setup.encoding.tokens.decode(spelling)).find(lower_case(setup.test.markers[i])) !=
            std::string::npos);
      const std::vector<std::int64_t> fewer{spelling.begin() + 1, spelling.end()};
      CHECK(lower_case(setup.encoding.tokens.decode(fewer)).find(lower_case(setup.test.markers[i])) ==
            std::string::npos);
    } else {
      CHECK_FALSE(oracle.markers[i].token_ids.empty());
    }
  }
  CHECK(in_answer > 0);
}

TEST_CASE("the oracle does not diverge from itself, and the baseline does", "[experiment][oracle_reference]") {
  const lab_test setup;
  const trial_record itself = setup.measured(plan_of({ids_of(setup.prompts.whole())}));
  CHECK(itself.next_token_kl == 0.0);
  const trial_record alone = setup.measured(plan_of({ids_of(setup.prompts.alone())}));
  CHECK(*alone.next_token_kl > 0.1);
  CHECK(*alone.marker_log_prob < *itself.marker_log_prob - 1);
}

TEST_CASE("a marker's log-probability is that of its tokens behind the answer's", "[experiment][oracle_reference]") {
  const lab_test setup;
  const oracle_reference oracle = setup.oracle();
  const plan input = plan_of({ids_of(setup.prompts.alone())});
  double expected = 0;
  for (const oracle_reference::marker_place& place : oracle.markers) {
    std::vector<std::int64_t> read = ids_of(setup.prompts.alone());
    read.insert(read.end(), oracle.answer.begin(), oracle.answer.begin() + place.in_answer.begin);
    std::vector<std::int64_t> spelling = place.token_ids;
    if (!place.in_answer.empty()) {
      spelling = {oracle.answer.begin() + place.in_answer.begin, oracle.answer.begin() + place.in_answer.end()};
    }
    for (const std::int64_t token : spelling) {
      const at::Tensor logits =
          plan_logits(setup.model, plan_of({read}))[0][static_cast<std::int64_t>(read.size()) - 1];
      expected += at::log_softmax(logits, 0)[token].item<double>();
      read.push_back(token);
    }
  }
  CHECK(*setup.measured(input).marker_log_prob == Approx(expected / 2).margin(1e-3));
}

TEST_CASE("prompts longer than a model reads have no oracle, and a test without markers no probability of them",
          "[experiment][oracle_reference]") {
  lab_test setup;
  setup.test.markers.clear();
  CHECK_FALSE(setup.measured(plan_of({ids_of(setup.prompts.alone())})).marker_log_prob.has_value());
  setup.prompts.head.back().token_ids.resize(static_cast<std::size_t>(setup.model.config.max_position_embeddings), 5);
  CHECK_FALSE(setup.read().has_value());
}
