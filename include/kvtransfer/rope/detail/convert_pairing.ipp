#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/convert_pairing.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::rope::detail {

KVTRANSFER_INLINE at::Tensor repaired_window(const at::Tensor& keys, const rotary_specification& specification,
                                             pairing to) {
  const at::Tensor window = keys.narrow(-1, specification.window_offset, specification.rotary_dim());
  const std::int64_t half = specification.rotary_dim() / 2;
  return to == pairing::interleaved ? window.unflatten(-1, {2, half}).transpose(-1, -2).flatten(-2)
                                    : window.unflatten(-1, {half, 2}).transpose(-1, -2).flatten(-2);
}

KVTRANSFER_INLINE void require_convertible(const at::Tensor& keys, const rotary_specification& specification,
                                           std::string_view where) {
  require_heads_tensor(keys, where, "keys");
  validate(specification, where);
  require_window(specification, keys.size(-1), where);
}

}  // namespace kvtransfer::rope::detail

namespace kvtransfer::rope {

KVTRANSFER_INLINE at::Tensor convert_pairing(const at::Tensor& keys, const rotary_specification& specification,
                                             pairing to) {
  detail::require_convertible(keys, specification, "convert_pairing");
  if (specification.pairing == to || !specification.rotates()) {
    return keys.clone();
  }
  return replace_window(keys, detail::repaired_window(keys, specification, to), specification.window_offset);
}

KVTRANSFER_INLINE void convert_pairing_(const at::Tensor& keys, const rotary_specification& specification, pairing to,
                                        const options& how) {
  detail::require_convertible(keys, specification, "convert_pairing_");
  detail::require_writable({keys}, "convert_pairing_");
  if (specification.pairing == to || !specification.rotates()) {
    return;
  }
  constexpr const char* kernel = "kvtransfer::convert_pairing_";
  const bool readable = detail::kernels_read(keys, specification.rotary_dim());
  const bool fused = detail::choose_fused(keys, readable, how, kernel, "convert_pairing_");
  memory_changes::instance().note({memory_of(keys)}, "convert_pairing_");
  if (fused) {
    return detail::kernels()->convert_pairing_({keys}, specification.window_offset, specification.rotary_dim(),
                                               to == pairing::interleaved);
  }
  keys.narrow(-1, specification.window_offset, specification.rotary_dim())
      .copy_(detail::repaired_window(keys, specification, to));
}

}  // namespace kvtransfer::rope
