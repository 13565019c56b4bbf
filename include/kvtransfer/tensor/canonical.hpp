#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::layouts {

/// Copies every layer from one arrangement into another, in one pass. Padding that `from` does not store becomes zeros.
/// Differentiable with respect to `from`.
/// @param to one per layer; what no slot names stays as it is
/// @param from likewise
/// @throws shape_error, device_error, value_error where they do not go together
void copy_storage_(const std::vector<storage>& to, const std::vector<storage>& from,
                   implementation use = implementation::automatic, std::string_view where = "copy_storage_");

/// A tensor in the plain form as `[batch, kv_heads, seq, head_dim]`: without a copy where strides alone describe it,
/// else gathered, with zeros for slots that have no storage. Differentiable.
[[nodiscard]] at::Tensor canonical(const storage& plain, std::string_view where = "canonical");

}  // namespace kvtransfer::layouts

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/canonical.ipp"  // IWYU pragma: export
#endif
