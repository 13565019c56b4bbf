#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/quantized_rotation.hpp"

namespace kvtransfer::rope::kernels {
namespace {

std::int64_t longest_tile(const quantized_rotation& arguments) {
  if (!arguments.is_per_channel()) {
    return std::min(tokens_per_tile, arguments.rotation.seq);
  }
  std::int64_t longest = 0;
  std::int64_t begin = 0;
  for (std::int64_t group = 0; group < arguments.groups; ++group) {
    longest = std::max(longest, arguments.group_ends[group] - begin);
    begin = arguments.group_ends[group];
  }
  return longest;
}

/// Tiles in the order of rotation_order: those that share positions are neighbours.
rotation_order tiles_of(const quantized_rotation& arguments) {
  rotation_order order = order_of(arguments.rotation, 1);
  order.blocks =
      arguments.is_per_channel() ? arguments.groups : (arguments.rotation.seq + tokens_per_tile - 1) / tokens_per_tile;
  order.units = order.outer_batch * order.outer_heads * order.blocks * order.rows;
  return order;
}

/// The floats that a tile_memory points into.
class tile_floats {
 public:
  tile_floats(const quantized_rotation& arguments, std::int64_t tokens)
      : elements_(tokens * arguments.count),
        angles_(tokens * padded_pairs(arguments.rotation.pairs)),
        count_(arguments.count) {
    floats_.resize(static_cast<std::size_t>(elements_ + 2 * angles_ + 3 * count_));
  }

  tile_memory memory() {
    float* const elements = floats_.data();
    float* const angles = elements + elements_;
    float* const ranges = angles + 2 * angles_;
    return {elements, angles, angles + angles_, ranges, ranges + count_, ranges + 2 * count_};
  }

 private:
  std::int64_t elements_;
  std::int64_t angles_;
  std::int64_t count_;
  std::vector<float> floats_;
};

}  // namespace

void rotate_quantized_keys_on_cpu(const quantized_rotation& arguments, const quantized_keys* layers,
                                  std::int64_t count) {
  static const auto rotate_tiles = best_variant().rotate_tiles;
  constexpr std::int64_t elements_worth_a_thread = 16384;
  const rotation_order order = tiles_of(arguments);
  const std::int64_t tokens = longest_tile(arguments);
  at::parallel_for(0, count * order.units, elements_worth_a_thread / (tokens * arguments.count) + 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     tile_floats floats(arguments, tokens);
                     while (begin < end) {
                       const std::int64_t layer = begin / order.units;
                       const std::int64_t first = layer * order.units;
                       const std::int64_t last = std::min(end, first + order.units);
                       rotate_tiles(arguments, layers[layer], order, begin - first, last - first, floats.memory());
                       begin = last;
                     }
                   });
}

}  // namespace kvtransfer::rope::kernels
