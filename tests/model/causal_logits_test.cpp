#include "kvtransfer/model/causal_logits.hpp"

#include <nlohmann/json.hpp>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a token changes nothing before it", "[model][causal_logits]") {
  const causal_lm model = small_model();
  auto text = some_tokens(10);
  const at::Tensor before = causal_logits(model.config, model.weights, token_tensor({text}, 0, at::kCPU));
  text[6] = (text[6] + 1) % 97;
  const at::Tensor after = causal_logits(model.config, model.weights, token_tensor({text}, 0, at::kCPU));
  CHECK(max_difference(before.slice(1, 0, 6), after.slice(1, 0, 6)) < 1e-6);
  CHECK(max_difference(before.slice(1, 6), after.slice(1, 6)) > 1e-2);
}

TEST_CASE("every parameter takes part and gets a gradient", "[model][causal_logits]") {
  nlohmann::json config = small_config();
  config["attention_bias"] = true;
  config["mlp_bias"] = true;
  causal_lm model = small_model(1, config);
  for_each_parameter(model.weights, [](const std::string&, at::Tensor& tensor) { tensor.requires_grad_(true); });
  causal_logits(model.config, model.weights, token_tensor({some_tokens(10)}, 0, at::kCPU)).square().mean().backward();
  for_each_parameter(model.weights, [](const std::string& name, const at::Tensor& tensor) {
    INFO(name);
    REQUIRE(tensor.grad().defined());
    // A bias of keys shifts every score of a query alike, which softmax does not see: its gradient is rotation's share
    // alone.
    CHECK(tensor.grad().abs().max().item<double>() > 0);
  });
}
