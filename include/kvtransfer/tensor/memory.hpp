#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kvtransfer/core/memory_changes.hpp"

namespace kvtransfer {

/// The bytes from the first element of a tensor to its last; nothing for one without elements.
[[nodiscard]] memory_range memory_of(const at::Tensor& tensor);

/// The same of each of several.
[[nodiscard]] std::vector<memory_range> memory_of(const std::vector<at::Tensor>& tensors);

namespace detail {

/// Steps of `stride` bytes, at least `fewest` and at most `most` of them.
struct strided_steps {
  std::int64_t stride = 0;
  std::int64_t fewest = 0;
  std::int64_t most = 0;
};

/// Whether some number of steps along each of `axes` leads as far as `distance`. @param axes by falling stride
/// @param tries how many more may be looked at; past the last, this says yes
bool leads_to(std::span<const strided_steps> axes, std::int64_t distance, int& tries);

/// Whether two tensors have a byte of an element in common; slices that interleave in one memory have none.
bool share_elements(const at::Tensor& a, const at::Tensor& b);

/// Calls `visit(i, j)` for every two tensors that have an element in common, whichever comes first in memory.
template <class Visit>
void for_each_overlap(std::span<const at::Tensor> tensors, Visit&& visit) {
  struct placed {
    memory_range bytes;
    std::size_t index;
  };
  c10::SmallVector<placed, 64> by_address;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    by_address.push_back({memory_of(tensors[i]), i});
  }
  std::ranges::sort(by_address, {}, [](const placed& one) { return one.bytes.begin; });
  for (std::size_t i = 0; i < by_address.size(); ++i) {
    for (std::size_t j = i + 1; j < by_address.size() && by_address[j].bytes.begin < by_address[i].bytes.end; ++j) {
      if (share_elements(tensors[by_address[i].index], tensors[by_address[j].index])) {
        visit(by_address[i].index, by_address[j].index);
      }
    }
  }
}

/// False if no two indices reach one address: sorted by stride, each axis steps past all that the smaller ones span.
bool may_overlap_itself(const at::Tensor& tensor);

}  // namespace detail

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/memory.ipp"  // IWYU pragma: export
#endif
