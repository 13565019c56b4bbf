#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<memory_range> memory_of(const layouts::storage& storage) {
  if (!storage.slots) {
    return {memory_of(storage.blocks)};
  }
  const at::Tensor& blocks = storage.blocks;
  const bool heads_apart = blocks.stride(1) > blocks.stride(2);
  std::vector<memory_range> ranges;
  for (const layouts::slot_span& span : storage.slots->spans()) {
    for (std::int64_t head = 0; head < (heads_apart ? blocks.size(1) : 1); ++head) {
      const std::int64_t first = span.block * blocks.stride(0) + head * blocks.stride(1) + span.slot * blocks.stride(2);
      const std::int64_t last = first + (span.count - 1) * blocks.stride(2) + (blocks.size(3) - 1) * blocks.stride(3) +
                                (heads_apart ? 0 : (blocks.size(1) - 1) * blocks.stride(1));
      const auto at = [&](std::int64_t element) {
        return reinterpret_cast<std::uintptr_t>(blocks.const_data_ptr()) +
               static_cast<std::uintptr_t>(element) * blocks.element_size();
      };
      ranges.push_back({at(first), at(last + 1)});
    }
  }
  return ranges;
}

KVTRANSFER_INLINE std::vector<memory_range> memory_of(const std::vector<layouts::storage>& layers) {
  std::vector<memory_range> all;
  for (const layouts::storage& layer : layers) {
    const std::vector<memory_range> ranges = memory_of(layer);
    all.insert(all.end(), ranges.begin(), ranges.end());
  }
  return all;
}

}  // namespace kvtransfer::detail
