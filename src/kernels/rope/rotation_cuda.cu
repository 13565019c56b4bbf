#include <algorithm>
#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/rope/elements.hpp"
#include "kernels/rope/rotation_cuda_elements.hpp"
#include "kernels/rope/rotation_launch.hpp"

namespace kvtransfer::rope::kernels {
namespace {

/// The longest word, in bytes, that lies aligned at every place where a thread reads or writes: 16, 8, or one element.
std::int64_t word_size(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  const std::int64_t size =
      with_element(rotation.element, [](auto element) { return static_cast<std::int64_t>(sizeof(element)); });
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
  with_element(rotation.element,
               [&]<class Element>(Element) { launch_rotation<Element>(rotation, layers, count, word); });
}

}  // namespace

void rotate_on_cuda(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count) {
  using kvtransfer::kernels::layers_per_launch;
  (void)kvtransfer::kernels::grid_axis(arguments.batch * arguments.kv_heads * arguments.seq, "rotate_keys", "keys",
                                       "tokens in all heads");
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    launch_by_element(arguments, layers + first, std::min(count - first, layers_per_launch));
  }
}

}  // namespace kvtransfer::rope::kernels
