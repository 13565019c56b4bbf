#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

namespace detail {

/// The rotary window of `keys` with its elements in the order of the other pairing.
[[nodiscard]] at::Tensor repaired_window(const at::Tensor& keys, const rotary_specification& specification, pairing to);

/// @throws shape_error unless `keys` are keys whose rotary window lies within the head
void require_convertible(const at::Tensor& keys, const rotary_specification& specification, std::string_view where);

}  // namespace detail

/// Keys whose pairs lie as `to` has them, each element's value unchanged: between transformers' Llama keys (half-split)
/// and llama.cpp's (interleaved). The result goes with `specification` with its pairing set to `to`.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param specification how the keys lie now
/// @throws shape_error if the rotary window does not lie within the head
[[nodiscard]] at::Tensor convert_pairing(const at::Tensor& keys, const rotary_specification& specification, pairing to);

/// `convert_pairing` in place, by the fused kernel where one is loaded. Views and owners of a cache that the keys
/// belong to find out, and refuse to read them as they lay.
/// @throws shape_error also where strides overlap; value_error for keys that require a gradient; device_error as
/// `rotate_keys_`
void convert_pairing_(const at::Tensor& keys, const rotary_specification& specification, pairing to,
                      const options& how = {});

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/convert_pairing.ipp"  // IWYU pragma: export
#endif
