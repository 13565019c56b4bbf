#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/polar.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace kvtransfer::test::kernels {

/// The arguments of the operators `kvtransfer::turn_` and `kvtransfer::turn`, positions and tables on the CPU.
struct kernel_turn {
  at::Tensor from = {};  ///< int64 [streams, batch, kv_heads, seq], each axis but the last may be 1
  at::Tensor to = {};
  std::int64_t delta = 0;
  at::Tensor from_inv_freq = {};
  at::Tensor to_inv_freq = {};
  at::Tensor stream_of = {};
  double gain = 1;
  std::int64_t window_offset = 0;
  bool interleaved = false;
  bool model_faithful = false;
};

template <class Result>
Result call_kernel(const char* name, at::TensorList keys, const kernel_turn& turn) {
  using optional = std::optional<at::Tensor>;
  using signature = Result(at::TensorList, const optional&, const optional&, std::int64_t, const optional&,
                           const optional&, const optional&, double, std::int64_t, bool, bool);
  const auto given = [](const at::Tensor& tensor) { return tensor.defined() ? optional(tensor) : std::nullopt; };
  const auto beside = [&](const at::Tensor& tensor) {
    return tensor.defined() ? optional(tensor.to(keys.front().device())) : std::nullopt;
  };
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<signature>().call(
      keys, beside(turn.from), beside(turn.to), turn.delta, given(turn.from_inv_freq), given(turn.to_inv_freq),
      given(turn.stream_of), turn.gain, turn.window_offset, turn.interleaved, turn.model_faithful);
}

inline std::vector<at::Tensor> turned_by_kernel(at::TensorList keys, const kernel_turn& turn) {
  return call_kernel<std::vector<at::Tensor>>("kvtransfer::turn", keys, turn);
}

inline void turn_by_kernel(at::TensorList keys, const kernel_turn& turn) {
  call_kernel<void>("kvtransfer::turn_", keys, turn);
}

/// q * f_to - p * f_from in float64, broadcast to [batch, kv_heads, seq, pairs]; each product rounded to fp32 if
/// model-faithful.
inline at::Tensor angles_in_double(const kernel_turn& turn) {
  const auto product = [&](const at::Tensor& positions, const at::Tensor& inv_freq) {
    const at::Tensor streams = turn.stream_of.defined() && positions.size(0) > 1 ? turn.stream_of.to(at::kLong)
                                                                                 : at::zeros_like(inv_freq, at::kLong);
    const at::Tensor tokens = positions.index_select(0, streams).permute({1, 2, 3, 0});
    return turn.model_faithful ? (tokens.to(at::kFloat) * inv_freq).to(at::kDouble)
                               : tokens.to(at::kDouble) * inv_freq.to(at::kDouble);
  };
  if (!turn.from.defined() && !turn.to.defined()) {
    return (turn.to_inv_freq.to(at::kDouble) * static_cast<double>(turn.delta)).view({1, 1, 1, -1});
  }
  const at::Tensor wanted = turn.to.defined() ? product(turn.to, turn.to_inv_freq) : at::zeros({1}, at::kDouble);
  return turn.from.defined() ? wanted - product(turn.from, turn.from_inv_freq) : wanted;
}

/// The turn as a multiplication of complex numbers in float64, on the CPU. Shares nothing with the kernels.
inline at::Tensor turned_in_double(const at::Tensor& keys, const kernel_turn& turn) {
  const at::Tensor angles = angles_in_double(turn);
  const std::int64_t pairs = angles.size(-1);
  at::Tensor turned = keys.detach().cpu().to(at::kDouble).clone();
  const at::Tensor window = turned.narrow(-1, turn.window_offset, 2 * pairs);
  const auto part = [&](std::int64_t which) {
    return turn.interleaved ? window.slice(-1, which, std::nullopt, 2) : window.narrow(-1, which * pairs, pairs);
  };
  const at::Tensor numbers = at::complex(part(0).contiguous(), part(1).contiguous());
  const at::Tensor product = at::view_as_real(numbers * at::polar(at::zeros_like(angles) + turn.gain, angles));
  part(0).copy_(product.select(-1, 0));
  part(1).copy_(product.select(-1, 1));
  return turned;
}

/// theta^(-i / pairs): plain RoPE's frequencies, fp32.
inline at::Tensor plain_frequencies(std::int64_t pairs, double theta = 1e4) {
  return at::pow(theta, at::arange(pairs, at::kDouble) * (-1.0 / static_cast<double>(pairs))).to(at::kFloat);
}

}  // namespace kvtransfer::test::kernels
