#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

#include "kvtransfer/core/cache_extents.hpp"

namespace kvtransfer {

/// A tensor as errors show it: `[2, 8, 5, 64] Float on cpu`.
[[nodiscard]] std::string describe(const at::Tensor& tensor);

/// @throws shape_error unless `tensor` is a floating `[batch, heads, seq, head_dim]`
void require_heads_tensor(const at::Tensor& tensor, std::string_view where, std::string_view what);

/// @param tensor `[batch, kv_heads, seq, head_dim]`
[[nodiscard]] cache_extents extents_of(const at::Tensor& tensor);

/// @throws device_error unless both live on one device
void require_same_device(const at::Tensor& a, const at::Tensor& b, std::string_view where, std::string_view what);

/// @throws shape_error unless keys (or values) have the extents and the type that they are expected to have
void require_extents(const cache_extents& found, at::ScalarType found_type, const cache_extents& expected,
                     at::ScalarType type, std::string_view where, std::string_view what);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/checks.ipp"  // IWYU pragma: export
#endif
