#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

// From elements to their groups and back, by views of either: [batch, kv_heads, seq, head_dim] and what scales are.

namespace kvtransfer::detail {

/// The result of `reduce(tensor, axis)` for every group.
/// @param elements `[batch, kv_heads, seq, head_dim]`
template <class Reduce>
at::Tensor reduced_groups(const at::Tensor& elements, const quantization& scheme, const slot_groups& groups,
                          Reduce&& reduce) {
  if (!scheme.is_per_channel()) {
    return reduce(elements.unflatten(3, {-1, scheme.group_size}), 4);
  }
  std::vector<at::Tensor> parts = {
      at::zeros({elements.size(0), elements.size(1), 0, elements.size(3)}, elements.options())};
  std::int64_t slot = 0;
  for (const group_run& run : groups.runs()) {
    parts.push_back(reduce(elements.narrow(2, slot, run.groups * run.slots).unflatten(2, {run.groups, run.slots}), 3));
    slot += run.groups * run.slots;
  }
  return at::cat(parts, 2);
}

/// What every element's group has.
/// @param per_group as `scales`
/// @return `[batch, kv_heads, seq, head_dim]`
inline at::Tensor spread_groups(const at::Tensor& per_group, const quantization& scheme, const slot_groups& groups) {
  if (!scheme.is_per_channel()) {
    return per_group.unsqueeze(-1).expand({-1, -1, -1, -1, scheme.group_size}).flatten(3);
  }
  std::vector<at::Tensor> parts = {per_group.narrow(2, 0, 0)};
  std::int64_t group = 0;
  for (const group_run& run : groups.runs()) {
    const at::Tensor of_run = per_group.narrow(2, group, run.groups).unsqueeze(3);
    parts.push_back(of_run.expand({-1, -1, -1, run.slots, -1}).flatten(2, 3));
    group += run.groups;
  }
  return at::cat(parts, 2);
}

}  // namespace kvtransfer::detail
