#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kvtransfer/rope/kernels/lower.hpp"
#include "kvtransfer/rope/kernels/quantized_turn.hpp"

// The operator for a device whose kernel is given; quantized_operators.cpp and quantized_turn_cuda.cu register it.

namespace kvtransfer::rope::kernels {

using optional_tensor = std::optional<at::Tensor>;

/// The tensors of one layer, as the dispatcher passes them; quantized_operators.cpp describes each.
struct quantized_tensors {
  at::Tensor codes;
  at::Tensor scales;
  optional_tensor minimums;
  optional_tensor group_ends;
  optional_tensor held;
  std::int64_t bits = 8;
};

void turn_quantized_in_place(const quantized_tensors& keys, const turn_tensors& turn, quantized_turn_launch launch);

/// `kvtransfer::turn_quantized_`
template <quantized_turn_launch launch>
void turn_quantized_(const at::Tensor& codes, const at::Tensor& scales, const optional_tensor& minimums,
                     const optional_tensor& group_ends, const optional_tensor& held, std::int64_t bits,
                     const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
                     const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq, const optional_tensor& stream_of,
                     double gain, std::int64_t window_offset, bool interleaved, bool model_faithful) {
  turn_quantized_in_place(
      {codes, scales, minimums, group_ends, held, bits},
      {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful}, launch);
}

}  // namespace kvtransfer::rope::kernels
