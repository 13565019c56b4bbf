#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/detail/reference_turn.hpp"
#include "kvtransfer/rope/detail/turn_checks.hpp"
#include "kvtransfer/rope/turning.hpp"

namespace kvtransfer::rope {

namespace detail {

/// Whether the fused kernel `name` carries out a turn of keys like `keys`.
inline bool turns_fused(const at::Tensor& keys, const rotary_specification& geometry, const options& how,
                        const char* name, std::string_view where) {
  const bool readable =
      kernels_read(keys, geometry.rotary_dim()) && !how.norm_weight.defined() && !loses_gradient(name, keys);
  return choose_fused(keys, readable, how, name, where);
}

}  // namespace detail

/// Which implementation a move of keys like `keys` under `specification` runs on.
/// @throws device_error where `how` asks for the fused kernel and there is none for these keys
inline implementation implementation_used(const at::Tensor& keys, const options& how = {},
                                          const rotary_specification& specification = {}) {
  const bool fused = detail::turns_fused(keys, specification, how, "kvtransfer::turn_", "implementation_used");
  return fused ? implementation::fused : implementation::reference;
}

/// Throws what `turn_` would throw for these arguments and turns nothing: whoever has several turns to make can ask for
/// all of them first, and so make all or none.
/// @return `how_far` with four-dimensional positions
inline turning require_turnable(const std::vector<at::Tensor>& layers, const turning& how_far, const options& how = {},
                                std::string_view where = "turn_") {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  const at::Tensor& sample = layers.front();
  turning turn = detail::checked(how_far, sample, how, where);
  if (turn.geometry().rotates()) {
    detail::turns_fused(sample, turn.geometry(), how, "kvtransfer::turn_", where);
  }
  return turn;
}

/// Turns the keys of every layer in place, in one call.
/// @param layers each `[batch, kv_heads, seq, head_dim]`, strides without overlap; all of one shape, dtype and device
/// @param where the operation that errors name
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void turn_(const std::vector<at::Tensor>& layers, const turning& how_far, const options& how = {},
                  std::string_view where = "turn_") {
  const turning turn = require_turnable(layers, how_far, how, where);
  const at::Tensor& sample = layers.front();
  const rotary_specification& geometry = turn.geometry();
  if (!geometry.rotates() || sample.numel() == 0) {
    return;
  }
  if (detail::turns_fused(sample, geometry, how, "kvtransfer::turn_", where)) {
    return detail::call_fused_turn<void, at::TensorList>("kvtransfer::turn_", turn, how.angles, layers);
  }
  const cos_sin table = detail::turn_table(turn, sample.scalar_type(), sample.device(), how.angles);
  for (const at::Tensor& keys : layers) {
    keys.narrow(-1, geometry.window_offset, geometry.rotary_dim())
        .copy_(detail::turned_window(keys, turn, table, how.norm_weight));
  }
}

/// Turned copies of the keys of every layer. Differentiable: the gradient turns back by the same angle.
/// @param layers as for `turn_`; strides may overlap, since nothing is written
inline std::vector<at::Tensor> turn(const std::vector<at::Tensor>& layers, const turning& how_far,
                                    const options& how = {}, std::string_view where = "turn") {
  detail::require_alike(layers, where);
  const at::Tensor& sample = layers.front();
  const turning turn = detail::checked(how_far, sample, how, where);
  const rotary_specification& geometry = turn.geometry();
  std::vector<at::Tensor> turned;
  turned.reserve(layers.size());
  if (!geometry.rotates() || sample.numel() == 0) {
    for (const at::Tensor& keys : layers) {
      turned.push_back(keys.clone());
    }
    return turned;
  }
  const auto tracked = std::ranges::find_if(layers, [](const at::Tensor& keys) { return keys.requires_grad(); });
  if (detail::turns_fused(tracked == layers.end() ? sample : *tracked, geometry, how, "kvtransfer::turn", where)) {
    return detail::call_fused_turn<std::vector<at::Tensor>, at::TensorList>("kvtransfer::turn", turn, how.angles,
                                                                            layers);
  }
  const cos_sin table = detail::turn_table(turn, sample.scalar_type(), sample.device(), how.angles);
  for (const at::Tensor& keys : layers) {
    turned.push_back(
        replace_window(keys, detail::turned_window(keys, turn, table, how.norm_weight), geometry.window_offset));
  }
  return turned;
}

}  // namespace kvtransfer::rope
