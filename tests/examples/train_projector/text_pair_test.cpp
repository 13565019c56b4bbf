#include "train_projector/text_pair.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using namespace kvtransfer::train_projector;

namespace {

constexpr const char* lab = KVT_SOURCE_DIR "/examples/models/lab-llama";
constexpr const char* other = KVT_SOURCE_DIR "/tests/model/fixtures/tokenizer";

const example asked{"My name is Lyra and I live in Seattle.", "What is your name?", "My name is Lyra.", {"Lyra"}};

text_pair pair_by(const std::string& tokens) {
  recipe plan;
  plan.tokens = tokens;
  return {open_tokenizer(other), open_tokenizer(lab), false, plan};
}

}  // namespace

TEST_CASE("rows of two tokenizers have a slot of the source for each token of the receiver", "[train_projector]") {
  const any_tokenizer source = open_tokenizer(other);
  const any_tokenizer receiver = open_tokenizer(lab);
  const training_row by_text = pair_by("text").row_of(asked);
  CHECK(by_text.source == encode_whole(source, asked.source));
  REQUIRE(by_text.partners.size() == by_text.receiver.size());
  CHECK(by_text.partners.front() == 0);
  CHECK(std::cmp_equal(by_text.partners.back(), by_text.source.size() - 1));
  CHECK(std::ranges::is_sorted(by_text.partners));
  const training_row one_for_one = pair_by("first").row_of(asked);
  CHECK(one_for_one.partners.empty());
  CHECK(one_for_one.source.size() == one_for_one.receiver.size());
}

TEST_CASE("question and response are together the tokens of their text", "[train_projector]") {
  const any_tokenizer receiver = open_tokenizer(lab);
  const training_row row = pair_by("first").row_of(asked);
  CHECK(row.target == receiver.encode(asked.question + " " + asked.response));
  const token_row response(row.target.end() - row.response, row.target.end());
  CHECK(receiver.decode(response) == asked.response);
}

TEST_CASE("a source is read by the slots that stand for the receiver's, row by row", "[train_projector]") {
  const causal_lm model = small_model();
  const model_pair models{small_model(), small_model()};
  std::vector<training_row> rows(2);
  rows[0].source = some_tokens(7, 1);
  rows[0].receiver = some_tokens(4, 2);
  rows[0].partners = {0, 2, 2, 6};
  rows[1].source = some_tokens(3, 3);
  rows[1].receiver = some_tokens(6, 4);
  rows[1].partners = {0, 0, 1, 1, 2, 2};
  const cache receiver = prefill(model, column(rows, &training_row::receiver));
  const cache paired = source_cache(models, rows, receiver.view());
  CHECK(paired.view().frame().layer(1).positions == receiver.view().frame().layer(1).positions);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const cache alone = prefill(model, {rows[row].source});
    const auto count = static_cast<std::int64_t>(rows[row].partners.size());
    for (std::int64_t i = 0; i < count; ++i) {
      const at::Tensor expected =
          alone.view().layer(2).values()[0].select(1, rows[row].partners[static_cast<std::size_t>(i)]);
      const at::Tensor got =
          paired.view().layer(2).values()[static_cast<std::int64_t>(row)].select(1, receiver.length() - count + i);
      CHECK(max_difference(got, expected) < 1e-5);
    }
  }
}
