#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <set>
#include <string>

#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "model/transformer_fixture.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::model_fixtures;

TEST_CASE("a model's parameters are those, in name and shape, that transformers writes", "[model][weights]") {
  for (const std::string& name : test::transformer_fixture_names()) {
    CAPTURE(name);
    if (name.ends_with("with-images")) {
      continue;  // there the decoder is one part among others, below a name of its own
    }
    const auto folder = model_fixtures() / name;
    const safetensors_folder files = safetensors_folder::open(folder);
    const model_weights weights =
        make_weights(read_model_config(folder), [](const std::string&, const auto& shape) { return at::zeros(shape); });
    std::set<std::string> names;
    for_each_parameter(weights, [&](const std::string& parameter, const at::Tensor& tensor) {
      names.insert(parameter);
      CHECK(tensor.sizes() == files.tensor(parameter).sizes());
    });
    const auto written = files.names();
    CHECK(names == std::set<std::string>(written.begin(), written.end()));
  }
}

TEST_CASE("visiting may replace the parameters", "[model][weights]") {
  const model_config config = read_model_config(model_fixtures() / "mha-biased-fp16");
  model_weights weights = make_weights(config, [](const std::string&, const auto& shape) { return at::zeros(shape); });
  for_each_parameter(weights, [](const std::string&, at::Tensor& tensor) { tensor = tensor + 1; });
  CHECK(weights.layers[1].down_bias.sum().item<double>() == static_cast<double>(config.hidden_size));
}

TEST_CASE("a tied head is the embedding itself and is visited once", "[model][weights]") {
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  const model_weights weights =
      make_weights(config, [](const std::string&, const auto& shape) { return at::zeros(shape); });
  CHECK(weights.lm_head.is_same(weights.embed_tokens));
  for_each_parameter(weights, [](const std::string& name, const at::Tensor&) { CHECK(name != "lm_head.weight"); });
}
