#include "model/transformer.hpp"

#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>

#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the norm is torch's", "[model][transformer]") {
  const at::Tensor x = at::randn({2, 3, 16});
  const at::Tensor weight = at::randn({16});
  CHECK(max_difference(detail::transformer::rms_norm(x, weight, 1e-5), at::rms_norm(x, {16}, weight, 1e-5)) < 1e-5);
}

TEST_CASE("a tied head is the embedding", "[model][transformer]") {
  causal_lm model = small_model();
  const at::Tensor hidden = at::randn({2, 64});
  model.weights.lm_head = at::Tensor();
  const at::Tensor tied = detail::vocabulary_logits(model.config, model.weights, hidden);
  model.weights.lm_head = model.weights.embed_tokens.clone();
  CHECK(max_difference(tied, detail::vocabulary_logits(model.config, model.weights, hidden)) == 0);
}
