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

/// Neighbouring groups of one length.
class equal_groups {
 public:
  /// @param slot, group the first of each
  equal_groups(const quantization& scheme, const group_run& run, std::int64_t slot, std::int64_t group)
      : scheme_(scheme), run_(run), slot_(slot), group_(group) {}

  /// The groups' elements with `axis()` for those of one group, a view.
  /// @param elements `[batch, kv_heads, seq, head_dim]`
  at::Tensor of_elements(const at::Tensor& elements) const {
    return scheme_.is_per_channel()
               ? elements.narrow(2, slot_, run_.groups * run_.slots).unflatten(2, {run_.groups, run_.slots})
               : elements.unflatten(3, {-1, scheme_.group_size});
  }

  /// What each of the groups has, a view that broadcasts against their elements.
  /// @param per_group as `scales`
  at::Tensor of_groups(const at::Tensor& per_group) const {
    return scheme_.is_per_channel() ? per_group.narrow(2, group_, run_.groups).unsqueeze(axis())
                                    : per_group.unsqueeze(axis());
  }

  std::int64_t axis() const { return scheme_.is_per_channel() ? 3 : 4; }

 private:
  quantization scheme_;
  group_run run_;
  std::int64_t slot_;
  std::int64_t group_;
};

/// All groups, those of one length together; per token all are.
inline std::vector<equal_groups> groups_by_length(const quantization& scheme, const slot_groups& groups) {
  if (!scheme.is_per_channel()) {
    return {equal_groups(scheme, {}, 0, 0)};
  }
  std::vector<equal_groups> all;
  std::int64_t slot = 0;
  std::int64_t group = 0;
  for (const group_run& run : groups.runs()) {
    all.emplace_back(scheme, run, slot, group);
    slot += run.groups * run.slots;
    group += run.groups;
  }
  return all;
}

/// The result of `reduce(tensor, axis)` for every group.
/// @param elements `[batch, kv_heads, seq, head_dim]`
/// @return as `scales`
template <class Reduce>
at::Tensor reduced_groups(const at::Tensor& elements, const quantization& scheme, const slot_groups& groups,
                          Reduce&& reduce) {
  std::vector<at::Tensor> parts;
  for (const equal_groups& some : groups_by_length(scheme, groups)) {
    parts.push_back(reduce(some.of_elements(elements), some.axis()));
  }
  return parts.empty() ? at::zeros({elements.size(0), elements.size(1), 0, elements.size(3)}, elements.options())
                       : at::cat(parts, 2);
}

}  // namespace kvtransfer::detail
