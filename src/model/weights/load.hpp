#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"

namespace kvtransfer::detail {

/// Parameters as they were loaded, and the digest of what their files store.
struct loaded_weights {
  model_weights weights;
  std::string digest;
};

/// As `load_weights` of a folder. Every stored tensor is read once: its bytes go into the digest, and then, while they
/// are in the processor's cache, to where they are wanted.
[[nodiscard]] loaded_weights load_with_digest(const std::filesystem::path& folder, const model_config& config,
                                              at::Device device, at::ScalarType dtype,
                                              weight_quantization quantize = weight_quantization::none);

/// As `load_weights` of a GGUF file.
[[nodiscard]] loaded_weights load_with_digest(const gguf_weights& stored, const model_config& config, at::Device device,
                                              at::ScalarType dtype,
                                              weight_quantization quantize = weight_quantization::none);

}  // namespace kvtransfer::detail
