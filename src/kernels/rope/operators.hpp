#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/rope/lower.hpp"
#include "kernels/rope/pairing_conversion.hpp"
#include "kernels/rope/turn_launch.hpp"

// The operators for a device whose kernels are given; operators.cpp and operators_cuda.cu register them.

namespace kvtransfer::rope::kernels {

using optional_tensor = std::optional<at::Tensor>;

void turn_in_place(at::TensorList keys, const turn_tensors& turn, turn_launch launch);
std::vector<at::Tensor> turn_out_of_place(at::TensorList keys, const turn_tensors& turn, turn_launch launch);
void convert_in_place(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved,
                      pairing_conversion_launch launch);

/// `kvtransfer::turn_`: every layer is turned where it lies.
template <turn_launch launch>
void turn_(at::TensorList keys, const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
           const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq, const optional_tensor& stream_of,
           double gain, std::int64_t window_offset, bool interleaved, bool model_faithful) {
  turn_in_place(
      keys, {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful},
      launch);
}

/// `kvtransfer::turn_rows_`: some rows of every layer are turned where they lie.
template <turn_launch launch>
void turn_rows_(at::TensorList keys, const at::Tensor& rows, const optional_tensor& from, const optional_tensor& to,
                std::int64_t delta, const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq,
                const optional_tensor& stream_of, double gain, std::int64_t window_offset, bool interleaved,
                bool model_faithful) {
  turn_in_place(
      keys,
      {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful, rows},
      launch);
}

/// `kvtransfer::turn`: turned copies; elements outside the rotary window are copied as they are.
template <turn_launch launch>
std::vector<at::Tensor> turn(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                             std::int64_t delta, const optional_tensor& from_inv_freq,
                             const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                             std::int64_t window_offset, bool interleaved, bool model_faithful) {
  return turn_out_of_place(
      keys, {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful},
      launch);
}

/// `kvtransfer::convert_pairing_`: every layer is reordered where it lies.
template <pairing_conversion_launch launch>
void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  convert_in_place(keys, window_offset, rotary_dim, to_interleaved, launch);
}

}  // namespace kvtransfer::rope::kernels
