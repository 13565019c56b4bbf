#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_written_once(const std::vector<layouts::storage>& to,
                                            const std::vector<layouts::storage>& from, std::string_view where) {
  std::vector<at::Tensor> blocks;
  for (const layouts::storage& written : to) {
    require<shape_error>(!may_overlap_itself(written.blocks), where, "destination",
                         "strides that reach each element once", [&] { return describe(written.blocks); });
    blocks.push_back(written.blocks);
  }
  for (const layouts::storage& read : from) {
    blocks.push_back(read.blocks);
  }
  const auto storage_of = [&](std::size_t i) -> const layouts::storage& {
    return i < to.size() ? to[i] : from[i - to.size()];
  };
  for_each_overlap(blocks, [&](std::size_t first, std::size_t second) {
    const auto [earlier, later] = std::minmax(first, second);
    if (earlier >= to.size() || !share_slots(to[earlier], storage_of(later))) {
      return;  // two that are read, or slots apart
    }
    require<shape_error>(later >= to.size(), where, "destination",
                         "memory of its own for every layer's keys and values", "two that overlap");
    fail<shape_error>(where, "destination", "memory apart from the source's", "memory that overlaps with it");
  });
}

}  // namespace kvtransfer::detail
