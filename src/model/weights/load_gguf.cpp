#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/model/weights/gguf_weights.hpp"
#include "model/lack_of_memory.hpp"
#include "model/weights/conversion_buffer.hpp"
#include "model/weights/load.hpp"
#include "model/weights/room_for_weights.hpp"
#include "model/weights/weight_digest.hpp"

namespace kvtransfer {

namespace {

/// Every tensor as the file has it: its own names, types and blocks.
std::vector<detail::stored_tensor> stored_in(const gguf_file& file) {
  std::vector<detail::stored_tensor> tensors;
  for (const auto& [name, tensor] : file.header().tensors) {
    tensors.push_back({name, describe(tensor.type).name, tensor.shape, file.mapping(), file.blocks(tensor)});
  }
  return tensors;
}

/// Bytes that all weights take at least.
std::int64_t bytes_of_weights(const gguf_weights& stored, at::ScalarType dtype, weight_quantization quantize) {
  std::int64_t bytes = 0;
  for (const std::string& name : stored.names()) {
    const bool in_4_bits = quantize == weight_quantization::nf4 && is_layer_matrix(name);
    const auto numbers = c10::multiply_integers(stored.shape(name));
    bytes += in_4_bits ? numbers / 2 : numbers * static_cast<std::int64_t>(c10::elementSize(dtype));
  }
  return bytes;
}

}  // namespace

namespace detail {

loaded_weights load_with_digest(const gguf_weights& stored, const model_config& config, at::Device device,
                                at::ScalarType dtype, weight_quantization quantize) {
  const std::string file = stored.file().path().string();
  require_room_for_weights(bytes_of_weights(stored, dtype, quantize), device);
  std::unordered_set<std::string> used;
  conversion_buffer buffer(at::TensorOptions().dtype(dtype).device(device));
  try {
    model_weights weights =
        make_weights(config, [&](const std::string& name, const std::vector<std::int64_t>& shape) -> weight_matrix {
          used.insert(name);
          if (stored.contains(name) && stored.shape(name) != shape) {
            fail<file_error>(file, fmt::format("tensor {}: shape", excerpt(stored.name_in_file(name))), excerpt(shape),
                             excerpt(stored.shape(name)));
          }
          if (quantize == weight_quantization::none || !is_layer_matrix(name) || !stored.contains(name)) {
            return stored.load(name, dtype, device);
          }
          const at::Tensor dense = buffer.of_shape(shape);
          stored.load_into(name, dense);
          return quantize_nf4(dense);
        });
    for (const std::string& name : stored.names()) {
      if (!used.contains(name)) {
        fail<file_error>(file, "tensors", fmt::format("those of a {} with this metadata", config.architecture),
                         excerpt(stored.name_in_file(name)));
      }
    }
    return {std::move(weights), digest_when_asked(stored_in(stored.file()))};
  } catch (const c10::Error& bad) {
    if (is_lack_of_memory(bad)) {
      fail_for_lack_of_memory("load_weights", device, bad.what_without_backtrace());
    }
    fail<device_error>("load_weights", "device", fmt::format("memory for the model on {}", device.str()),
                       bad.what_without_backtrace());
  }
}

}  // namespace detail

model_weights load_weights(const gguf_weights& stored, const model_config& config, at::Device device,
                           at::ScalarType dtype, weight_quantization quantize) {
  return detail::load_with_digest(stored, config, device, dtype, quantize).weights;
}

}  // namespace kvtransfer
