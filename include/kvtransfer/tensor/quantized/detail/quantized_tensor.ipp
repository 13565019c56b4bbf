#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE cache_extents quantized_tensor::extents() const {
  return {codes.size(0), codes.size(1), codes.size(2), codes.size(3) * codes_per_byte(scheme.format)};
}

KVTRANSFER_INLINE std::int64_t quantized_tensor::nbytes() const {
  return static_cast<std::int64_t>(codes.nbytes() + scales.nbytes() + (minimums.defined() ? minimums.nbytes() : 0));
}

KVTRANSFER_INLINE quantized_tensor quantized_tensor::clone() const {
  return transform([](const at::Tensor& tensor) { return tensor.clone(); });
}

KVTRANSFER_INLINE bool are_alike(const quantized_tensor& a, const quantized_tensor& b) {
  return a.codes.sizes() == b.codes.sizes() && a.scheme == b.scheme && a.groups == b.groups;
}

KVTRANSFER_INLINE std::vector<std::int64_t> shape_of_scales(const quantization& scheme, const slot_groups& groups,
                                                            const cache_extents& extents) {
  const std::int64_t rows = scheme.is_per_channel() ? groups.count() : extents.seq;
  const std::int64_t columns = scheme.is_per_channel() ? extents.head_dim : extents.head_dim / scheme.group_size;
  return {extents.batch, extents.kv_heads, rows, columns};
}

KVTRANSFER_INLINE void validate(const quantized_tensor& quantized, std::string_view where) {
  const at::Tensor& codes = quantized.codes;
  const quantization& scheme = quantized.scheme;
  require<shape_error>(codes.defined() && codes.dim() == 4 && codes.scalar_type() == scalar_type_of(scheme.format),
                       where, "codes", formatted("[batch, kv_heads, seq, head_dim] of {}", to_string(scheme.format)),
                       [&] { return describe(codes); });
  const cache_extents extents = quantized.extents();
  validate(scheme, extents.head_dim, where);
  require<shape_error>(!scheme.is_per_channel() || quantized.groups.size() == extents.seq, where, "groups",
                       formatted("{} slots", extents.seq), formatted("{}", quantized.groups.size()));
  const std::vector<std::int64_t> shape = shape_of_scales(scheme, quantized.groups, extents);
  const auto require_fit = [&](const at::Tensor& tensor, std::string_view what) {
    if (!tensor.defined() || tensor.scalar_type() != at::kFloat || tensor.device() != codes.device() ||
        tensor.sizes() != shape) {
      fail<shape_error>(where, what, fmt::format("[{}] Float on {}", fmt::join(shape, ", "), codes.device().str()),
                        describe(tensor));
    }
  };
  require_fit(quantized.scales, "scales");
  if (is_integer(scheme.format)) {
    require_fit(quantized.minimums, "minimums");
  }
  if (quantized.carried_error.defined()) {
    require_fit(quantized.carried_error, "carried_error");
  }
}

}  // namespace kvtransfer
