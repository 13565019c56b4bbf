#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/where.h>

#include <limits>

#include "kvtransfer/tensor/detail/grouped.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

namespace kvtransfer::detail {

/// Scale and minimum of every group; the latter undefined for float formats.
struct group_ranges {
  at::Tensor scales;
  at::Tensor minimums;
};

/// Reduces every group, or gives zero where it holds nothing.
/// @param nothing what padding counts as: infinity of the sign that `reduce` never prefers
template <class Reduce>
at::Tensor reduced_valid(const at::Tensor& elements, const at::Tensor& valid, double nothing, const quantization& scheme,
                        const slot_groups& groups, Reduce&& reduce) {
  const at::Tensor kept = valid.defined() ? at::where(valid, elements, at::Scalar(nothing)) : elements;
  const at::Tensor reduced = reduced_groups(kept, scheme, groups, reduce).to(at::kFloat);
  return valid.defined() ? at::where(reduced == nothing, at::Scalar(0.0), reduced).to(at::kFloat) : reduced;
}

/// Steps that divide `reach`; none is so small, unless it is zero, that one over it is not a number.
inline at::Tensor steps_of(const at::Tensor& reach, double steps) {
  constexpr double smallest = std::numeric_limits<float>::min();
  return at::where(reach > 0, (reach / steps).clamp_min(smallest), reach).to(at::kFloat);
}

/// The ranges of `elements`, of which only those `valid` count.
/// @param elements `[batch, kv_heads, seq, head_dim]`, float32 or less
/// @param valid bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined where all are
inline group_ranges ranges_of(const at::Tensor& elements, const at::Tensor& valid, const quantization& scheme,
                              const slot_groups& groups) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto smallest = [](const at::Tensor& tensor, std::int64_t axis) { return at::amin(tensor, axis); };
  const auto largest = [](const at::Tensor& tensor, std::int64_t axis) { return at::amax(tensor, axis); };
  const double steps = largest_code(scheme.format);
  if (!is_integer(scheme.format)) {
    return {steps_of(reduced_valid(elements.abs(), valid, -infinity, scheme, groups, largest), steps), {}};
  }
  at::Tensor minimums = reduced_valid(elements, valid, infinity, scheme, groups, smallest);
  return {steps_of(reduced_valid(elements, valid, -infinity, scheme, groups, largest) - minimums, steps), minimums};
}

}  // namespace kvtransfer::detail
