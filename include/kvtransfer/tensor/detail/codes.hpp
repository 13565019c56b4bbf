#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

namespace kvtransfer::detail {

/// The nearest codes to elements that are in units of a step already.
/// @param steps float `[..., head_dim]`, overwritten
/// @return `[..., head_dim / codes a byte]`
inline at::Tensor codes_of(const at::Tensor& steps, code_format format) {
  const double largest = largest_code(format);
  if (!is_integer(format)) {
    return steps.clamp_(-largest, largest).to(scalar_type_of(format));
  }
  at::Tensor codes = steps.round_().nan_to_num_().clamp_(0, largest).to(at::kByte);
  if (format == code_format::int8) {
    return codes;
  }
  const at::Tensor pairs = codes.unflatten(-1, {-1, 2});
  return pairs.select(-1, 0).add(pairs.select(-1, 1), 16);
}

/// The numbers that codes stand for, before scale and minimum: bytes for integers, float32 for floats.
/// @return `[..., head_dim]`
inline at::Tensor numbers_of(const at::Tensor& codes, code_format format) {
  if (format != code_format::int4) {
    return is_integer(format) ? codes : codes.to(at::kFloat);
  }
  return stacked({codes.bitwise_and(15), codes.bitwise_right_shift(4)}, -1).flatten(-2);
}

}  // namespace kvtransfer::detail

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
  [[nodiscard]] at::Tensor of_elements(const at::Tensor& elements) const {
    return scheme_.is_per_channel()
               ? elements.narrow(2, slot_, run_.groups * run_.slots).unflatten(2, {run_.groups, run_.slots})
               : elements.unflatten(3, {-1, scheme_.group_size});
  }

  /// What each of the groups has, a view that broadcasts against their elements.
  /// @param per_group as `scales`
  [[nodiscard]] at::Tensor of_groups(const at::Tensor& per_group) const {
    return scheme_.is_per_channel() ? per_group.narrow(2, group_, run_.groups).unsqueeze(axis())
                                    : per_group.unsqueeze(axis());
  }

  [[nodiscard]] std::int64_t axis() const { return scheme_.is_per_channel() ? 3 : 4; }

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
  return parts.empty() ? elements.new_zeros({elements.size(0), elements.size(1), 0, elements.size(3)})
                       : joined(parts, 2);
}

/// Scale and minimum of every group; the latter undefined for float formats.
struct group_ranges {
  at::Tensor scales;
  at::Tensor minimums;
};

/// Reduces every group, or gives zero where it holds nothing.
/// @param nothing what padding counts as: infinity of the sign that `reduce` never prefers
template <class Reduce>
at::Tensor reduced_valid(const at::Tensor& elements, const at::Tensor& valid, double nothing,
                         const quantization& scheme, const slot_groups& groups, Reduce&& reduce) {
  const at::Tensor kept = valid.defined() ? elements.where(valid, nothing) : elements;
  const at::Tensor reduced = reduced_groups(kept, scheme, groups, reduce).to(at::kFloat);
  return valid.defined() ? reduced.masked_fill(reduced.eq(nothing), 0.0) : reduced;
}

/// Steps that divide `reach`; none is so small, unless it is zero, that one over it is not a number.
inline at::Tensor steps_of(const at::Tensor& reach, double steps) {
  constexpr double smallest = std::numeric_limits<float>::min();
  return reach.div(steps).clamp_min(smallest).where(reach.gt(0), reach).to(at::kFloat);
}

/// The ranges of `elements`, of which only those `valid` count.
/// @param elements `[batch, kv_heads, seq, head_dim]`, float32 or less
/// @param valid bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined where all are
inline group_ranges ranges_of(const at::Tensor& elements, const at::Tensor& valid, const quantization& scheme,
                              const slot_groups& groups) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto smallest = [](const at::Tensor& tensor, std::int64_t axis) { return tensor.amin(axis); };
  const auto largest = [](const at::Tensor& tensor, std::int64_t axis) { return tensor.amax(axis); };
  const double steps = largest_code(scheme.format);
  if (!is_integer(scheme.format)) {
    return {steps_of(reduced_valid(elements.abs(), valid, -infinity, scheme, groups, largest), steps), {}};
  }
  at::Tensor minimums = reduced_valid(elements, valid, infinity, scheme, groups, smallest);
  return {steps_of(reduced_valid(elements, valid, -infinity, scheme, groups, largest).sub(minimums), steps), minimums};
}

/// Calls `visit(begin, end)` for neighbouring slots, all in turn: on a CPU for so few at a time that a dozen passes
/// over their floats stay in its caches, and memory for them is not asked of the system again and again; elsewhere for
/// all at once.
/// @param multiple of how many slots every slab but the last is
template <class Visit>
void for_each_slab(const cache_extents& extents, std::int64_t multiple, at::Device device, Visit&& visit) {
  constexpr std::int64_t elements_of_slab = 1 << 18;
  const std::int64_t elements_of_slot = std::max<std::int64_t>(1, extents.batch * extents.kv_heads * extents.head_dim);
  const std::int64_t fitting = std::max<std::int64_t>(1, elements_of_slab / elements_of_slot);
  const std::int64_t slots = device.is_cpu() ? (fitting + multiple - 1) / multiple * multiple : extents.seq;
  for (std::int64_t begin = 0; begin < extents.seq; begin += slots) {
    visit(begin, std::min(begin + slots, extents.seq));
  }
}

}  // namespace kvtransfer::detail
