#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE at::Tensor angles_at(const rotary_specification& specification, const at::Tensor& positions,
                                       at::ScalarType dtype) {
  const at::Device device = positions.device();
  const at::Tensor inv_freq = uploaded(specification.inv_freq, at::kFloat, device).to(dtype);
  if (specification.stream_of.empty() || positions.size(0) == 1) {
    return positions.select(0, 0).to(dtype).unsqueeze(-1).mul(inv_freq);
  }
  const at::Tensor stream_of = uploaded(specification.stream_of, at::kByte, device).to(at::kLong);
  return positions.index_select(0, stream_of).to(dtype).movedim(0, -1).mul(inv_freq);
}

KVTRANSFER_INLINE cos_sin cos_sin_table(const rotary_specification& specification, const at::Tensor& positions,
                                        at::ScalarType dtype) {
  const at::Tensor angles =
      angles_at(specification, detail::positions_as_4d(positions, "cos_sin_table", "positions"), at::kFloat);
  const at::Scalar scaling = specification.attention_scaling;
  return {angles.cos().mul_(scaling).to(dtype), angles.sin().mul_(scaling).to(dtype)};
}

KVTRANSFER_INLINE at::Tensor rotate_window(const at::Tensor& window, const cos_sin& table, pairing pairs) {
  const std::int64_t half = window.size(-1) / 2;
  const auto rotated = [&](const at::Tensor& a, const at::Tensor& b) {
    return std::vector<at::Tensor>{a.mul(table.cos).sub(b.mul(table.sin)), b.mul(table.cos).add(a.mul(table.sin))};
  };
  if (pairs == pairing::half_split) {
    return kvtransfer::detail::joined(rotated(window.narrow(-1, 0, half), window.narrow(-1, half, half)), -1);
  }
  const at::Tensor pair = window.unflatten(-1, {half, 2});
  return kvtransfer::detail::stacked(rotated(pair.select(-1, 0), pair.select(-1, 1)), -1).flatten(-2);
}

KVTRANSFER_INLINE at::Tensor replace_window(const at::Tensor& x, const at::Tensor& window, std::int64_t offset) {
  const std::int64_t end = offset + window.size(-1);
  if (window.size(-1) == x.size(-1)) {
    return window;
  }
  return kvtransfer::detail::joined({x.narrow(-1, 0, offset), window, x.narrow(-1, end, x.size(-1) - end)}, -1);
}

KVTRANSFER_INLINE at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                                          const rotary_specification& specification) {
  if (!specification.rotates()) {
    return x;
  }
  const at::Tensor window = x.narrow(-1, specification.window_offset, specification.rotary_dim());
  return replace_window(x, rotate_window(window, {cos, sin}, specification.pairing), specification.window_offset);
}

}  // namespace kvtransfer::rope
