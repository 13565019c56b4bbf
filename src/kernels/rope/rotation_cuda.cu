#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/rope/rotation_cuda_elements.hpp"
#include "kernels/rope/rotation_launch.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::rope::kernels {
namespace {

std::int64_t element_size(element_type element) {
  switch (element) {
    case element_type::float32:
      return 4;
    case element_type::bfloat16:
    case element_type::float16:
      return 2;
    default:
      return 1;
  }
}

/// The longest word, in bytes, that lies aligned at every place where a thread reads or writes: 16, 8, or one element.
std::int64_t word_size(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  const std::int64_t size = element_size(rotation.element);
  std::int64_t bits = rotation.pairs * size;
  for (const key_strides& strides : {rotation.source, rotation.destination}) {
    bits |= (rotation.batch > 1 || rotation.rows != nullptr ? strides.batch : 0) * size;
    bits |= (rotation.kv_heads > 1 ? strides.head : 0) * size;
    bits |= (rotation.seq > 1 ? strides.token : 0) * size;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    bits |= reinterpret_cast<std::intptr_t>(layers[i].source) | reinterpret_cast<std::intptr_t>(layers[i].destination);
  }
  return bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : size;
}

void launch_by_element(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  const std::int64_t word = word_size(rotation, layers, count);
  switch (rotation.element) {
    case element_type::float32:
      return launch_rotation<float>(rotation, layers, count, word);
    case element_type::bfloat16:
      return launch_rotation<bfloat16>(rotation, layers, count, word);
    case element_type::float16:
      return launch_rotation<float16>(rotation, layers, count, word);
    case element_type::float8_e4m3:
      return launch_rotation<float8_e4m3>(rotation, layers, count, word);
    case element_type::float8_e5m2:
      return launch_rotation<float8_e5m2>(rotation, layers, count, word);
  }
}

}  // namespace

void rotate_on_cuda(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count) {
  const std::int64_t rows = arguments.batch * arguments.kv_heads * arguments.seq;
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    fail<shape_error>("rotate_keys", "keys", "batch * kv_heads * seq below 2^31 in a layer on CUDA",
                      fmt::format("{}", rows));
  }
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    launch_by_element(arguments, layers + first, std::min(count - first, layers_per_launch));
  }
}

}  // namespace kvtransfer::rope::kernels
