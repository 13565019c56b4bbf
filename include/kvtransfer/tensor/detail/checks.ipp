#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) {
    return "an undefined tensor";
  }
  return fmt::format("[{}] {} on {}", fmt::join(tensor.sizes(), ", "), c10::toString(tensor.scalar_type()),
                     tensor.device().str());
}

KVTRANSFER_INLINE void require_heads_tensor(const at::Tensor& tensor, std::string_view where, std::string_view what) {
  require<shape_error>(tensor.defined() && tensor.dim() == 4 && at::isFloatingType(tensor.scalar_type()), where, what,
                       "[batch, kv_heads, seq, head_dim], floating", [&] { return describe(tensor); });
}

KVTRANSFER_INLINE cache_extents extents_of(const at::Tensor& tensor) {
  return {tensor.size(0), tensor.size(1), tensor.size(2), tensor.size(3)};
}

KVTRANSFER_INLINE void require_same_device(const at::Tensor& a, const at::Tensor& b, std::string_view where,
                                           std::string_view what) {
  if (a.device() != b.device()) {
    fail<device_error>(where, what, a.device().str(), b.device().str());
  }
}

KVTRANSFER_INLINE void require_extents(const cache_extents& found, at::ScalarType found_type,
                                       const cache_extents& expected, at::ScalarType type, std::string_view where,
                                       std::string_view what) {
  require<shape_error>(found == expected && found_type == type, where, what,
                       formatted("{}, {}", expected, c10::toString(type)),
                       formatted("{}, {}", found, c10::toString(found_type)));
}

}  // namespace kvtransfer
