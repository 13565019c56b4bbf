#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kvtransfer/core/error.hpp"
#include "kernels/rope/turn_cuda_elements.hpp"
#include "kernels/rope/turn_launch.hpp"

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
std::int64_t word_size(const turn_arguments& turn, const layer_keys* layers, std::int64_t count) {
  const std::int64_t size = element_size(turn.element);
  std::int64_t bits = turn.pairs * size;
  for (const key_strides& strides : {turn.source, turn.destination}) {
    bits |= (turn.batch > 1 || turn.rows != nullptr ? strides.batch : 0) * size;
    bits |= (turn.kv_heads > 1 ? strides.head : 0) * size;
    bits |= (turn.seq > 1 ? strides.token : 0) * size;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    bits |= reinterpret_cast<std::intptr_t>(layers[i].source) | reinterpret_cast<std::intptr_t>(layers[i].destination);
  }
  return bits % 16 == 0 ? 16 : bits % 8 == 0 ? 8 : size;
}

void launch_by_element(const turn_arguments& turn, const layer_keys* layers, std::int64_t count) {
  const std::int64_t word = word_size(turn, layers, count);
  switch (turn.element) {
    case element_type::float32:
      return launch_turn<float>(turn, layers, count, word);
    case element_type::bfloat16:
      return launch_turn<bfloat16>(turn, layers, count, word);
    case element_type::float16:
      return launch_turn<float16>(turn, layers, count, word);
    case element_type::float8_e4m3:
      return launch_turn<float8_e4m3>(turn, layers, count, word);
    case element_type::float8_e5m2:
      return launch_turn<float8_e5m2>(turn, layers, count, word);
  }
}

}  // namespace

void turn_on_cuda(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count) {
  const std::int64_t rows = arguments.batch * arguments.kv_heads * arguments.seq;
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    fail<shape_error>("turn", "keys", "batch * kv_heads * seq below 2^31 in a layer on CUDA", fmt::format("{}", rows));
  }
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    launch_by_element(arguments, layers + first, std::min(count - first, layers_per_launch));
  }
}

}  // namespace kvtransfer::rope::kernels
