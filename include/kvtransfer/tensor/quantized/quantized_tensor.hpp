#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
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
  [[nodiscard]] cache_extents extents() const;
  /// The one on which all tensors lie.
  [[nodiscard]] at::Device device() const { return codes.device(); }

  /// Bytes that codes, scales and minimums take: what a cache costs in memory.
  [[nodiscard]] std::int64_t nbytes() const;

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
  [[nodiscard]] quantized_tensor clone() const;
};

/// Whether two tensors were quantized in one way: extents, scheme and groups.
[[nodiscard]] bool are_alike(const quantized_tensor& a, const quantized_tensor& b);

/// What `scales` are for a tensor of `extents`. The scheme must be valid for its head_dim.
[[nodiscard]] std::vector<std::int64_t> shape_of_scales(const quantization& scheme, const slot_groups& groups,
                                                        const cache_extents& extents);

/// @throws shape_error unless the tensors are of one another's extents, as their scheme has it
void validate(const quantized_tensor& quantized, std::string_view where);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/quantized_tensor.ipp"  // IWYU pragma: export
#endif
