#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/edit_slots.hpp"
#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"

// Tensors that are one memory: what moves keys must know, since a key is to be moved once and nothing else with it.

namespace kvtransfer::detail {

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
  std::vector<at::Tensor> blocks;
  for (const layouts::storage& layer : layers) {
    blocks.push_back(layer.blocks);
  }
  for_each_overlap(blocks, [&](std::size_t first, std::size_t second) {
    require<frame_error>(is_same_memory(blocks[first], blocks[second]), where, "keys",
                         "layers that are one memory or lie apart",
                         formatted("layers {} and {} that overlap", first, second));
  });
}

/// Whether two storages have a slot of some head in one place.
inline bool share_slots(const layouts::storage& a, const layouts::storage& b) {
  if (!share_elements(a.blocks, b.blocks)) {
    return false;
  }
  if (!is_same_memory(a.blocks, b.blocks)) {
    return true;
  }
  const auto places_of = [](const layouts::storage& storage) {
    const std::int64_t slots = storage.blocks.size(2);
    std::vector<slot_range> places;
    if (!storage.slots) {
      places.push_back({0, storage.blocks.size(0) * slots});
    } else {
      for (const layouts::slot_span& span : storage.slots->spans()) {
        places.push_back({span.block * slots + span.slot, span.count});
      }
    }
    return joined_ranges(std::move(places));
  };
  const std::vector<slot_range> first = places_of(a);
  const std::vector<slot_range> second = places_of(b);
  return std::ranges::any_of(first, [&](const slot_range& one) {
    return std::ranges::any_of(second, [&](const slot_range& other) { return !one.overlap(other).empty(); });
  });
}

}  // namespace kvtransfer::detail
