#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

namespace kvtransfer {

/// Keys or values of one layer as codes. An element is `code * scale`, for integers plus `minimum`, the smallest
/// element of its group.
///
/// Scales and minimums are float32 whatever was quantized: rounded to bfloat16, the minimum of a channel with an
/// outlier would be off by more than a step of 8 bits. They cost 64 bits a group (float formats 32). Copying the struct
/// copies no data.
struct quantized_tensor {
  quantization scheme;       ///< of codes and groups
  at::Tensor codes;          ///< `[batch, kv_heads, seq, head_dim / codes a byte]`, bytes or fp8
  at::Tensor scales;         ///< float32, per token `[batch, kv_heads, seq, head_dim / group_size]`, per channel
                             ///< `[batch, kv_heads, groups, head_dim]`
  at::Tensor minimums;       ///< as `scales`; undefined for float formats
  at::Tensor carried_error;  ///< as `scales`: how far moves had taken elements off before their last quantization;
                             ///< undefined: none
  slot_groups groups;        ///< per channel: which slots share a row of `scales`; empty per token
  at::ScalarType dtype = at::kFloat;  ///< of the tensor that was quantized

  /// The extents of the tensor that was quantized.
  [[nodiscard]] cache_extents extents() const {
    return {codes.size(0), codes.size(1), codes.size(2), codes.size(3) * codes_per_byte(scheme.format)};
  }
  /// The one on which all tensors lie.
  [[nodiscard]] at::Device device() const { return codes.device(); }

  /// Bytes that codes, scales and minimums take: what a cache costs in memory.
  [[nodiscard]] std::int64_t nbytes() const {
    return static_cast<std::int64_t>(codes.nbytes() + scales.nbytes() + (minimums.defined() ? minimums.nbytes() : 0));
  }

  /// This with every tensor replaced by `change(tensor)`.
  template <class Change>
  quantized_tensor transform(Change&& change) const {
    quantized_tensor changed = *this;
    for (at::Tensor* tensor : {&changed.codes, &changed.scales, &changed.minimums, &changed.carried_error}) {
      *tensor = tensor->defined() ? change(*tensor) : *tensor;
    }
    return changed;
  }

  /// This with copies of all tensors.
  [[nodiscard]] quantized_tensor clone() const {
    return transform([](const at::Tensor& tensor) { return tensor.clone(); });
  }
};

/// Whether two tensors were quantized in one way: extents, scheme and groups.
[[nodiscard]] inline bool are_alike(const quantized_tensor& a, const quantized_tensor& b) {
  return a.codes.sizes() == b.codes.sizes() && a.scheme == b.scheme && a.groups == b.groups;
}

/// What `scales` are for a tensor of `extents`. The scheme must be valid for its head_dim.
[[nodiscard]] inline std::vector<std::int64_t> shape_of_scales(const quantization& scheme, const slot_groups& groups,
                                                               const cache_extents& extents) {
  const std::int64_t rows = scheme.is_per_channel() ? groups.count() : extents.seq;
  const std::int64_t columns = scheme.is_per_channel() ? extents.head_dim : extents.head_dim / scheme.group_size;
  return {extents.batch, extents.kv_heads, rows, columns};
}

/// @throws shape_error unless the tensors are of one another's extents, as their scheme has it
inline void validate(const quantized_tensor& quantized, std::string_view where) {
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
