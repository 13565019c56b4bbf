#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// @throws shape_error unless slots of `second` can stand behind those of `first`, value_error where schemes differ, device_error
inline void require_joinable(const quantized_tensor& first, const quantized_tensor& second, std::string_view where,
                             std::string_view what) {
  require<value_error>(first.scheme == second.scheme, where, what, describe(first.scheme), describe(second.scheme));
  cache_extents expected = first.extents();
  expected.seq = second.extents().seq;
  if (!(second.extents() == expected) || first.dtype != second.dtype) {
    fail<shape_error>(where, what, fmt::format("{} but for seq, {}", first.extents(), c10::toString(first.dtype)),
                      fmt::format("{}, {}", second.extents(), c10::toString(second.dtype)));
  }
  require_same_device(first.codes, second.codes, where, what);
}

}  // namespace detail

/// The slots of `first` followed by those of `second`, each with the scales it has: nothing is quantized again, and a shorter
/// group may come to stand in the middle.
/// @throws shape_error, device_error where all but the number of slots differs; value_error where schemes do
inline quantized_tensor concat(const quantized_tensor& first, const quantized_tensor& second, std::string_view where = "concat") {
  detail::require_joinable(first, second, where, "second");
  const auto joined = [](const at::Tensor& a, const at::Tensor& b) { return at::cat({a, b}, 2); };
  quantized_tensor both = first;
  both.codes = joined(first.codes.view(at::kByte), second.codes.view(at::kByte)).view(first.codes.scalar_type());
  both.scales = joined(first.scales, second.scales);
  if (first.minimums.defined()) {
    both.minimums = joined(first.minimums, second.minimums);
  }
  if (first.carried_error.defined() || second.carried_error.defined()) {
    const auto carried = [](const quantized_tensor& part) {
      return part.carried_error.defined() ? part.carried_error : at::zeros_like(part.scales);
    };
    both.carried_error = joined(carried(first), carried(second));
  }
  both.groups = first.groups.followed_by(second.groups);
  return both;
}

}  // namespace kvtransfer
