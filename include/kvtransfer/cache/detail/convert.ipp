#pragma once

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
  for (std::size_t i = 0; i < to.size(); ++i) {
    require<shape_error>(!may_overlap_itself(to[i].blocks), where, "destination",
                         "strides that reach each element once", [&] { return describe(to[i].blocks); });
    for (std::size_t j = 0; j < to.size(); ++j) {
      require<shape_error>(j >= i || !share_slots(to[i], to[j]), where, "destination",
                           "memory of its own for every layer's keys and values", "two that overlap");
      require<shape_error>(!share_slots(to[i], from[j]), where, "destination", "memory apart from the source's",
                           "memory that overlaps with it");
    }
  }
}

}  // namespace kvtransfer::detail
