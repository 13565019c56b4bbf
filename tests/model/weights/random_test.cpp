#include <ATen/ops/equal.h>

#include "kvtransfer/model/weights.hpp"
#include "model/transformer_fixture.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using kvtransfer::test::model_fixtures;

TEST_CASE("random weights depend on the seed alone, with the deviation asked for", "[model][weights]") {
  const model_config config = read_model_config(model_fixtures() / "mha-biased-fp16");
  const model_weights weights = random_weights(config, 7, 0.1);
  CHECK(at::equal(weights.lm_head, random_weights(config, 7, 0.1).lm_head));
  CHECK_FALSE(at::equal(weights.lm_head, random_weights(config, 8, 0.1).lm_head));
  CHECK(weights.lm_head.std().item<double>() == Approx(0.1).epsilon(0.05));
  CHECK(weights.layers[0].q_bias.defined());
  CHECK(weights.norm.eq(1).all().item<bool>());
  CHECK(weights.layers[1].post_attention_layernorm.eq(1).all().item<bool>());
}
