#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/lower.hpp"

// Tensors that are one memory: what moves keys must know, since a key is to be moved once and nothing else with it.

namespace kvtransfer::detail {

/// Steps along an axis that both tensors have: from an element of the second to one of the first.
struct shared_axis {
  std::int64_t stride = 0;
  std::int64_t fewest = 0;
  std::int64_t most = 0;

  [[nodiscard]] std::int64_t reach() const { return stride * std::max(std::abs(fewest), most); }
};

/// Whether some steps along `axes[first…]` sum up to `distance`. @param axes by falling stride
inline bool sums_up(const std::vector<shared_axis>& axes, std::size_t first, std::int64_t distance) {
  if (first == axes.size() || distance == 0) {
    return distance == 0;
  }
  const shared_axis& axis = axes[first];
  if (axis.stride == 0) {
    return sums_up(axes, first + 1, distance);
  }
  std::int64_t rest = 0;
  for (std::size_t i = first + 1; i < axes.size(); ++i) {
    rest += axes[i].reach();
  }
  const std::int64_t low = std::max(axis.fewest, (distance - rest) / axis.stride - 1);
  const std::int64_t high = std::min(axis.most, (distance + rest) / axis.stride + 1);
  for (std::int64_t steps = low; steps <= high; ++steps) {
    const std::int64_t left = distance - steps * axis.stride;
    if (std::abs(left) <= rest && sums_up(axes, first + 1, left)) {
      return true;
    }
  }
  return false;
}

/// Whether two tensors have an element in common. Where their strides differ and their bytes are not apart, this says
/// yes without looking further.
inline bool share_elements(const at::Tensor& a, const at::Tensor& b) {
  if (!memory_of(a).meets(memory_of(b))) {
    return false;
  }
  const auto bytes =
      reinterpret_cast<std::intptr_t>(b.const_data_ptr()) - reinterpret_cast<std::intptr_t>(a.const_data_ptr());
  const auto size = static_cast<std::intptr_t>(a.element_size());
  if (a.scalar_type() != b.scalar_type() || a.strides() != b.strides() || bytes % size != 0) {
    return true;
  }
  std::vector<shared_axis> axes;
  for (std::int64_t axis = 0; axis < a.dim(); ++axis) {
    axes.push_back({a.stride(axis), 1 - b.size(axis), a.size(axis) - 1});
  }
  std::ranges::sort(axes, std::ranges::greater(), &shared_axis::stride);
  return sums_up(axes, 0, bytes / size);
}

/// Whether both are the same elements of one memory, in the same order.
inline bool is_same_memory(const at::Tensor& a, const at::Tensor& b) {
  return a.const_data_ptr() == b.const_data_ptr() && a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

/// The part of keys `[…, head_dim]` that a move between two frames of a layer may write; nothing where it writes none.
inline at::Tensor rotated_part(const at::Tensor& keys, const layer_frame& stored, const layer_frame& target) {
  std::int64_t begin = keys.size(-1);
  std::int64_t end = 0;
  for (const layer_frame* frame : {&stored, &target}) {
    for (const rotary_specification& specification : frame->specifications) {
      const bool whole = specification.normed_after_rotation;
      if (specification.rotates() || whole) {
        begin = std::min(begin, whole ? 0 : specification.window_offset);
        end = std::max(end, whole ? keys.size(-1)
                                  : std::min(specification.window_offset, keys.size(-1)) + specification.rotary_dim());
      }
    }
  }
  end = std::min(end, keys.size(-1));
  return begin < end ? keys.narrow(-1, begin, end - begin) : keys.narrow(-1, 0, 0);
}

/// @throws frame_error where a move of the keys would change values that lie in the same memory
inline void require_values_apart(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values,
                                 const cache_frame& stored, const cache_frame& target, std::string_view where) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    if (stored.layer(layer) == target.layer(layer) || keys[i].numel() == 0) {
      continue;
    }
    const at::Tensor rotated = rotated_part(keys[i], stored.layer(layer), target.layer(layer));
    for (std::size_t other = 0; other < values.size(); ++other) {
      if (share_elements(rotated, values[other])) {
        fail<frame_error>(where, fmt::format("layer {}", i), "keys in memory that holds no values",
                          fmt::format("the values of layer {} in the same memory", other));
      }
    }
  }
}

/// @throws frame_error where two of these have an element in common without being one and the same
inline void require_one_or_apart(const std::vector<layouts::storage>& layers, std::string_view where) {
  std::vector<std::size_t> by_address(layers.size());
  std::iota(by_address.begin(), by_address.end(), std::size_t{0});
  std::ranges::sort(by_address, {}, [&](std::size_t layer) { return memory_of(layers[layer].blocks).begin; });
  for (std::size_t i = 0; i < by_address.size(); ++i) {
    const at::Tensor& first = layers[by_address[i]].blocks;
    const std::uintptr_t end = memory_of(first).end;
    for (std::size_t j = i + 1; j < by_address.size() && memory_of(layers[by_address[j]].blocks).begin < end; ++j) {
      const at::Tensor& second = layers[by_address[j]].blocks;
      if (!is_same_memory(first, second) && share_elements(first, second)) {
        fail<frame_error>(where, "keys", "layers that are one memory or lie apart",
                          fmt::format("layers {} and {} that overlap", by_address[i], by_address[j]));
      }
    }
  }
}

}  // namespace kvtransfer::detail
