#include "kvtransfer/model/causal_lm.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/weights/find_gguf.hpp"
#include "kvtransfer/model/weights/gguf_config.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
#include "model/host_memory.hpp"
#include "model/identity.hpp"
#include "model/model_snapshot.hpp"
#include "model/tokenizers/tokenizer_digest.hpp"
#include "model/weights/load.hpp"
#include "model/weights/weight_digest.hpp"

namespace kvtransfer {

namespace {

/// transformers adds such an adapter to the weights beside it, so those alone would be another model.
void refuse_adapter(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / "adapter_config.json", ignored)) {
    fail<file_error>(folder.string(), "adapter", "none, or one that is merged into the weights", "adapter_config.json");
  }
}

causal_lm model_of(model_config config, detail::loaded_weights loaded, std::string quantization,
                   std::string tokenizer = {}) {
  model_identity identity = detail::identity_of(config, std::move(loaded.digest), std::move(tokenizer));
  identity.quantization = quantization;
  causal_lm model{std::move(config), std::move(loaded.weights), std::move(identity), std::move(quantization)};
  detail::take_snapshot(model);
  detail::return_freed_memory();  // of what lay between files and weights
  return model;
}

}  // namespace

causal_lm causal_lm::open(const std::filesystem::path& path, at::Device device, at::ScalarType dtype,
                          weight_quantization quantize) {
  if (const auto file = find_gguf(path)) {
    const gguf_weights stored(gguf_file::open(*file));
    model_config config = model_config_from_json(gguf_config(stored.file()), file->string());
    const std::string stored_in = stored.quantization();
    if (quantize != weight_quantization::none && stored_in != "none") {
      fail<value_error>("causal_lm::open", "quantize", "none", fmt::format("nf4, of matrices in {}", stored_in));
    }
    detail::loaded_weights loaded = detail::load_with_digest(stored, config, device, dtype, quantize);
    std::string kept_in =
        quantize == weight_quantization::none ? stored_in : std::string(describe_quantization(loaded.weights));
    return model_of(std::move(config), std::move(loaded), std::move(kept_in), detail::tokenizer_digest(path));
  }
  refuse_adapter(path);
  model_config config = read_model_config(path);
  detail::loaded_weights loaded = detail::load_with_digest(path, config, device, dtype, quantize);
  std::string kept_in(describe_quantization(loaded.weights));
  return model_of(std::move(config), std::move(loaded), std::move(kept_in), detail::tokenizer_digest(path));
}

causal_lm causal_lm::of(model_config config, model_weights weights) {
  std::string quantization(describe_quantization(weights));
  std::string digest = detail::digest_of(weights);
  return model_of(std::move(config), {std::move(weights), std::move(digest)}, std::move(quantization));
}

}  // namespace kvtransfer
