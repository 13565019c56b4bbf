#include <ATen/ops/equal.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "model/transformer_fixture.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::model_fixtures;
using kvtransfer::test::temporary_folder;

namespace {

std::vector<at::Tensor> parameters_of(const model_weights& weights) {
  std::vector<at::Tensor> tensors;
  for_each_parameter(weights, [&](const std::string&, const at::Tensor& tensor) { tensors.push_back(tensor); });
  return tensors;
}

}  // namespace

TEST_CASE("a saved model is the same model, in the type that was asked for", "[model][weights]") {
  for (const std::string& name : test::transformer_fixture_names()) {
    CAPTURE(name);
    const temporary_folder folder;
    const model_config config = read_model_config(model_fixtures() / name);
    const model_weights weights = load_weights(model_fixtures() / name, config, at::kCPU, at::kFloat);
    save_model(folder.path() / "new", config, weights, at::kBFloat16);

    const model_config again = read_model_config(folder.path() / "new");
    CHECK(again.layers == config.layers);
    const nlohmann::json content = nlohmann::json::parse(again.raw);
    CHECK(content.value("dtype", content.value("torch_dtype", "")) == "bfloat16");
    const safetensors_folder files = safetensors_folder::open(folder.path() / "new");
    CHECK(files.file_of("model.norm.weight").header().metadata.at("format") == "pt");
    const auto saved = parameters_of(load_weights(folder.path() / "new", again, at::kCPU, at::kBFloat16));
    const auto original = parameters_of(weights);
    REQUIRE(saved.size() == original.size());
    for (std::size_t i = 0; i < saved.size(); ++i) {
      CHECK(at::equal(saved[i], original[i].to(at::kBFloat16)));
    }
  }
}

TEST_CASE("a model may be saved over the files that its weights are mapped from", "[model][weights]") {
  const temporary_folder folder;
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  save_model(folder.path(), config, load_weights(model_fixtures() / "gqa-tied-fp32", config, at::kCPU, at::kFloat),
             at::kFloat);
  const model_weights mapped = load_weights(folder.path(), config, at::kCPU, at::kFloat);
  save_model(folder.path(), config, mapped, at::kFloat);
  CHECK(at::equal(load_weights(folder.path(), config, at::kCPU, at::kFloat).norm, mapped.norm));
}

TEST_CASE("a type that no checkpoint uses, or a folder that cannot be made, is refused", "[model][weights]") {
  const temporary_folder folder;
  const model_config config = read_model_config(model_fixtures() / "gqa-tied-fp32");
  const model_weights weights = load_weights(model_fixtures() / "gqa-tied-fp32", config, at::kCPU, at::kFloat);
  CHECK_THROWS_AS(save_model(folder.path(), config, weights, at::kInt), value_error);
  CHECK_THROWS_AS(save_model(folder.put("file", "") / "below", config, weights, at::kHalf), file_error);
}
