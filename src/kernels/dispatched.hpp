#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/tensor/kernel_table.hpp"

// The registered operators, called as functions: what the table holds, and what gradients go back through.

namespace kvtransfer::kernels::dispatched {

using kvtransfer::detail::quantized_layers;
using kvtransfer::detail::rotation_tensors;

void rotate_keys_(const rotation_tensors& rotation, at::TensorList keys);
std::vector<at::Tensor> rotate_keys(const rotation_tensors& rotation, at::TensorList keys);
void rotate_blocks_(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks);
void rotate_quantized_keys_(const rotation_tensors& rotation, const quantized_layers& keys);
void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved);
void copy_slots_(at::TensorList to, at::TensorList from, const std::optional<at::Tensor>& runs);

}  // namespace kvtransfer::kernels::dispatched
