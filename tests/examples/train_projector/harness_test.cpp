#include "train_projector/harness.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using namespace kvtransfer::train_projector;

namespace {

constexpr std::int64_t bos = 1;
constexpr std::int64_t filler = 7;

std::vector<training_row> two_rows() {
  return {{some_tokens(6, 1), {}, some_tokens(6, 1), some_tokens(5, 2), 2},
          {some_tokens(9, 3), {}, some_tokens(9, 3), some_tokens(4, 4), 1}};
}

/// A model that ends its first row by a token that it is about to say, so that both ways to stop are met.
causal_lm ending_model() {
  causal_lm model = small_model();
  const auto said = generate(model, plan_of({two_rows()[0].source}), {}).sequences.front();
  model.config.eos_token_ids = {said.token_ids.at(3)};
  return model;
}

}  // namespace

TEST_CASE("a harness reads what the matrix's conditions read", "[train_projector]") {
  const causal_lm model = ending_model();
  prompt_caches caches(model);
  for (const bool reads_eos : {false, true}) {
    const harness between(reads_eos ? "cache:generated_eos+second_bos" : "cache:generated+second_bos");
    const auto rows = between.applied(model, two_rows(), {bos}, filler);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const training_row plain = two_rows()[i];
      const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
      const continued_text expected = caches.continued({plain.source, reads_eos}, settings);
      CHECK(std::cmp_equal(rows[i].source.size(), expected.cached.size()));
      CHECK(rows[i].receiver.size() == rows[i].source.size());
      CHECK(rows[i].receiver.back() == filler);
      CHECK(rows[i].response == plain.response);
      CHECK(rows[i].target == joined({bos}, plain.target));
      const cache read = prefill(model, {rows[i].source});
      CHECK(max_difference(plan_logits(model, between.read(model, read.view(), {rows[i].target})),
                           plan_logits(model, prepend(expected.cached, {joined({bos}, plain.target)}))) < 1e-4);
    }
  }
}

TEST_CASE("a harness applies policies to many rows as to one", "[train_projector]") {
  const causal_lm model = small_model();
  for (const char* words : {"restart", "unrotated", "layers:0-1+gap:3"}) {
    const harness between{std::string(words)};
    const auto rows = two_rows();
    const cache all = prefill(model, column(rows, &training_row::source));
    const at::Tensor together =
        plan_logits(model, between.read(model, all.view(), column(rows, &training_row::target)));
    const cache last = prefill(model, {rows[1].source});
    const at::Tensor alone = plan_logits(model, between.read(model, last.view(), {rows[1].target}));
    CHECK(max_difference(together[1].narrow(0, together.size(1) - 4, 4), alone[0]) < 1e-4);
    const at::Tensor without = plan_logits(model, prepend(last.view(), {rows[1].target}));
    CHECK(max_difference(alone, without) > 1e-3);
  }
}

TEST_CASE("a harness without words changes nothing", "[train_projector]") {
  const causal_lm model = small_model();
  const auto rows = harness().applied(model, two_rows(), {bos}, filler);
  CHECK(column(rows, &training_row::source) == column(two_rows(), &training_row::source));
  CHECK(column(rows, &training_row::target) == column(two_rows(), &training_row::target));
  CHECK_FALSE(harness().takes_generated());
  CHECK(harness("cache:generated").takes_generated());
}

TEST_CASE("words that are not about a harness are refused", "[train_projector]") {
  for (const char* words : {"control:zero", "prompt:target", "rerotated", "keys:other", "span:source", "form:chat"}) {
    CHECK_THAT(message_of<value_error>([&] { static_cast<void>(harness(std::string(words))); }),
               contains("--condition: words: expected cache:, second_bos, or policies"));
  }
  CHECK_THAT(message_of<value_error>([] { static_cast<void>(harness("sideways")); }), contains("character 1"));
}
