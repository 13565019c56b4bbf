#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/mul_ops.h>
#include <ATen/ops/sub_ops.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/detail/codes.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor valid_elements(const at::Tensor& valid, const cache_extents& extents, at::Device device,
                                            std::string_view where) {
  if (!valid.defined()) {
    return valid;
  }
  const auto fits = [&](std::int64_t axis, std::int64_t size) {
    return valid.size(axis) == 1 || valid.size(axis) == size;
  };
  require<shape_error>(valid.scalar_type() == at::kBool && valid.dim() == 3 && fits(0, extents.batch) &&
                           fits(1, extents.kv_heads) && valid.size(2) == extents.seq,
                       where, "valid",
                       formatted("bool [{} or 1, {} or 1, {}]", extents.batch, extents.kv_heads, extents.seq),
                       [&] { return describe(valid); });
  require<device_error>(valid.device() == device, where, "valid", device.str(), valid.device().str());
  return valid.unsqueeze(-1);
}

KVTRANSFER_INLINE at::Tensor codes_in(const at::Tensor& elements, const group_ranges& ranges,
                                      const quantization& scheme, const slot_groups& groups) {
  const at::Tensor per_step = ranges.scales.reciprocal().masked_fill(ranges.scales.eq(0), 0.0);
  const at::Tensor steps = elements.new_empty(elements.sizes(), at::kFloat);
  for (const equal_groups& some : groups_by_length(scheme, groups)) {
    at::Tensor written = some.of_elements(steps);
    if (ranges.minimums.defined()) {
      at::_ops::sub_out::call(some.of_elements(elements), some.of_groups(ranges.minimums), 1, written)
          .mul_(some.of_groups(per_step));
    } else {
      at::_ops::mul_out::call(some.of_elements(elements), some.of_groups(per_step), written);
    }
  }
  return codes_of(steps, scheme.format);
}

KVTRANSFER_INLINE at::Tensor in_float32_or_less(const at::Tensor& elements) {
  const at::ScalarType dtype = elements.scalar_type();
  const bool as_they_are = !elements.is_cpu() && (dtype == at::kHalf || dtype == at::kBFloat16);
  return as_they_are ? elements : elements.to(at::kFloat);
}

KVTRANSFER_INLINE quantized_tensor quantized_slots(const at::Tensor& elements, const at::Tensor& valid,
                                                   const quantization& scheme) {
  const slot_groups groups =
      scheme.is_per_channel() ? slot_groups::of_size(scheme.group_size, elements.size(2)) : slot_groups();
  const at::Tensor floats = in_float32_or_less(elements);
  group_ranges ranges = ranges_of(floats, valid, scheme, groups);
  at::Tensor codes = codes_in(floats, ranges, scheme, groups);
  return {scheme, std::move(codes), std::move(ranges.scales), std::move(ranges.minimums),
          {},     groups,           elements.scalar_type()};
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE quantized_tensor quantize(const at::Tensor& elements, const quantization& scheme,
                                            const at::Tensor& valid, std::string_view where) {
  require_heads_tensor(elements, where, "elements");
  require<value_error>(!elements.requires_grad(), where, "elements", "no gradient (rounding has none)",
                       "requires_grad");
  const cache_extents extents = extents_of(elements);
  validate(scheme, extents.head_dim, where);
  const at::Tensor kept = detail::valid_elements(valid, extents, elements.device(), where);
  std::vector<quantized_tensor> slabs;
  detail::for_each_slab(extents, scheme.is_per_channel() ? scheme.group_size : 1, elements.device(),
                        [&](std::int64_t begin, std::int64_t end) {
                          const at::Tensor held_here = kept.defined() ? kept.slice(2, begin, end) : kept;
                          slabs.push_back(detail::quantized_slots(elements.slice(2, begin, end), held_here, scheme));
                        });
  return slabs.empty() ? detail::quantized_slots(elements, kept, scheme) : concat(slabs, where);
}

}  // namespace kvtransfer
