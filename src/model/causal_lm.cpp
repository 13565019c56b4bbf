#include "kvtransfer/model/causal_lm.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
#include "model/fingerprint.hpp"

namespace kvtransfer {

causal_lm causal_lm::open(const std::filesystem::path& path, at::Device device, at::ScalarType dtype,
                          weight_quantization quantize) {
  if (const auto file = find_gguf(path)) {
    const gguf_weights stored(gguf_file::open(*file));
    model_config config = model_config_from_json(gguf_config(stored.file()), file->string());
    const std::string stored_in = stored.quantization();
    if (quantize != weight_quantization::none && stored_in != "none") {
      fail<value_error>("causal_lm::open", "quantize", "none", fmt::format("nf4, of matrices in {}", stored_in));
    }
    model_weights weights = load_weights(stored, config, device, dtype, quantize);
    causal_lm model = of(std::move(config), std::move(weights));
    model.quantization = quantize == weight_quantization::none ? stored_in : model.quantization;
    return model;
  }
  model_config config = read_model_config(path);
  model_weights weights = load_weights(path, config, device, dtype, quantize);
  return of(std::move(config), std::move(weights));
}

causal_lm causal_lm::of(model_config config, model_weights weights) {
  std::string fingerprint = detail::model_fingerprint(config, weights);
  std::string quantization = describe_quantization(weights);
  return {std::move(config), std::move(weights), std::move(fingerprint), std::move(quantization)};
}

}  // namespace kvtransfer
