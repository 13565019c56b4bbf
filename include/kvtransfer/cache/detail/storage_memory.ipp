#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<memory_range> bytes_within(const at::Tensor& blocks, const layouts::slot_table& slots) {
  const bool heads_follow = blocks.stride(1) <= blocks.stride(2);
  std::vector<memory_range> ranges;
  ranges.reserve(slots.spans().size());
  for (const layouts::slot_span& span : slots.spans()) {
    // Heads, each with its slots side by side, may leave no gap either.
    const bool together = heads_follow || blocks.stride(1) == span.count * blocks.stride(2);
    for (std::int64_t head = 0; head < (together ? 1 : blocks.size(1)); ++head) {
      const std::int64_t first = span.block * blocks.stride(0) + head * blocks.stride(1) + span.slot * blocks.stride(2);
      const std::int64_t last = first + (span.count - 1) * blocks.stride(2) + (blocks.size(3) - 1) * blocks.stride(3) +
                                (together ? (blocks.size(1) - 1) * blocks.stride(1) : 0);
      ranges.push_back({static_cast<std::uintptr_t>(first * blocks.element_size()),
                        static_cast<std::uintptr_t>((last + 1) * blocks.element_size())});
    }
  }
  put_in_order(ranges);
  return ranges;
}

KVTRANSFER_INLINE std::vector<memory_range> memory_of(const layouts::storage& storage) {
  return memory_of(std::vector{storage});
}

KVTRANSFER_INLINE std::vector<memory_range> memory_of(std::vector<layouts::storage> layers) {
  std::ranges::sort(layers, {}, [](const layouts::storage& layer) { return layer.blocks.const_data_ptr(); });
  std::vector<memory_range> all;
  std::vector<memory_range> within;  // of the layer before, which is most often as the next
  const layouts::storage* before = nullptr;
  for (const layouts::storage& layer : layers) {
    if (!layer.slots) {
      all.push_back(memory_of(layer.blocks));
      continue;
    }
    const bool alike =
        before != nullptr && before->is_like(layer) && before->blocks.strides() == layer.blocks.strides() &&
        before->blocks.sizes() == layer.blocks.sizes() && before->blocks.element_size() == layer.blocks.element_size();
    if (!alike) {
      within = bytes_within(layer.blocks, *layer.slots);
      if (before == nullptr) {
        all.reserve(layers.size() * within.size());
      }
      before = &layer;
    }
    const auto base = reinterpret_cast<std::uintptr_t>(layer.blocks.const_data_ptr());
    for (const memory_range& range : within) {
      all.push_back({base + range.begin, base + range.end});
    }
  }
  return all;
}

}  // namespace kvtransfer::detail
