#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE memory_range memory_of(const at::Tensor& tensor) {
  if (tensor.numel() == 0) {
    return {};
  }
  std::int64_t last = 0;
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis) {
    last += (tensor.size(axis) - 1) * tensor.stride(axis);
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  return {begin, begin + static_cast<std::uintptr_t>(last + 1) * tensor.element_size()};
}

KVTRANSFER_INLINE std::vector<memory_range> memory_of(const std::vector<at::Tensor>& tensors) {
  std::vector<memory_range> all;
  for (const at::Tensor& tensor : tensors) {
    all.push_back(memory_of(tensor));
  }
  return all;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE bool leads_to(std::span<const strided_steps> axes, std::int64_t distance, int& tries) {
  if (--tries < 0) {
    return true;
  }
  if (axes.empty() || axes.front().stride == 0) {
    return distance == 0;
  }
  const strided_steps& axis = axes.front();
  const std::span<const strided_steps> rest = axes.subspan(1);
  std::int64_t common = axis.stride;
  std::int64_t least = 0;
  std::int64_t most = 0;
  for (const strided_steps& each : rest) {
    common = std::gcd(common, each.stride);
    least += each.stride * each.fewest;
    most += each.stride * each.most;
  }
  if (distance % common != 0) {
    return false;
  }
  const std::int64_t low = std::max(axis.fewest, (distance - most) / axis.stride - 1);
  const std::int64_t high = std::min(axis.most, (distance - least) / axis.stride + 1);
  for (std::int64_t steps = low; steps <= high; ++steps) {
    const std::int64_t left = distance - steps * axis.stride;
    if (left >= least && left <= most && leads_to(rest, left, tries)) {
      return true;
    }
  }
  return false;
}

KVTRANSFER_INLINE bool share_elements(const at::Tensor& a, const at::Tensor& b) {
  if (!memory_of(a).meets(memory_of(b))) {
    return false;
  }
  // The start of a plus steps along its axes is the start of b plus steps along its own, bytes of an element being the
  // smallest axis of both. Of steps of one stride the difference counts.
  c10::SmallVector<strided_steps, 10> axes;
  const auto add = [&](std::int64_t stride, std::int64_t size, bool of_a) {
    if (size > 1) {
      axes.push_back({stride, of_a ? 0 : 1 - size, of_a ? size - 1 : 0});
    }
  };
  for (const auto& [tensor, of_a] : {std::pair(&a, true), std::pair(&b, false)}) {
    const auto width = static_cast<std::int64_t>(tensor->element_size());
    for (std::int64_t axis = 0; axis < tensor->dim(); ++axis) {
      add(tensor->stride(axis) * width, tensor->size(axis), of_a);
    }
    add(1, width, of_a);
  }
  std::ranges::sort(axes, std::ranges::greater(), &strided_steps::stride);
  std::size_t last = 0;
  for (std::size_t i = 1; i < axes.size(); ++i) {
    if (axes[i].stride == axes[last].stride) {
      axes[last].fewest += axes[i].fewest;
      axes[last].most += axes[i].most;
    } else {
      axes[++last] = axes[i];
    }
  }
  const std::span<const strided_steps> merged(axes.data(), axes.empty() ? 0 : last + 1);
  constexpr int most_tries = 10'000;
  int tries = most_tries;
  const auto address = [](const at::Tensor& tensor) {
    return reinterpret_cast<std::intptr_t>(tensor.const_data_ptr());
  };
  return leads_to(merged, address(b) - address(a), tries);
}

KVTRANSFER_INLINE bool may_overlap_itself(const at::Tensor& tensor) {
  c10::SmallVector<std::pair<std::int64_t, std::int64_t>, 4> axes;
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis) {
    if (tensor.size(axis) > 1) {
      axes.emplace_back(tensor.stride(axis), tensor.size(axis));
    }
  }
  std::sort(axes.begin(), axes.end());
  std::int64_t spanned = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= spanned) {
      return true;
    }
    spanned += stride * (size - 1);
  }
  return false;
}

}  // namespace kvtransfer::detail
