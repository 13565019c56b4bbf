#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/model_digest.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"

namespace kvtransfer::detail {

/// Parameters as they were loaded, and the digest of what their files store, which is worked out when it is asked for.
struct loaded_weights {
  model_weights weights;
  model_digest digest;
};

/// As `load_weights` of a folder.
[[nodiscard]] loaded_weights load_with_digest(const std::filesystem::path& folder, const model_config& config,
                                              at::Device device, at::ScalarType dtype,
                                              weight_quantization quantize = weight_quantization::none);

/// As `load_weights` of a GGUF file.
[[nodiscard]] loaded_weights load_with_digest(const gguf_weights& stored, const model_config& config, at::Device device,
                                              at::ScalarType dtype,
                                              weight_quantization quantize = weight_quantization::none);

}  // namespace kvtransfer::detail
