#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace kvtransfer::kernels {

/// What a gate is put through.
enum class activation : std::uint8_t { silu, gelu, gelu_tanh };

/// @throws value_error for another name than "silu", "gelu", "gelu_tanh"
[[nodiscard]] activation activation_named(std::string_view name);

/// Gate and up as rows of neighbours, perhaps halves of one tensor's rows.
struct gated_rows {
  at::Tensor gate;  // [rows, width]
  at::Tensor up;    // [rows, width]
};

/// @throws shape_error, value_error where the two do not fit one another
[[nodiscard]] gated_rows checked_gate(const at::Tensor& gate, const at::Tensor& up);

/// The operator on a CPU and on a GPU.
[[nodiscard]] at::Tensor gated_on_cpu(const at::Tensor& gate, const at::Tensor& up, std::string_view name);
[[nodiscard]] at::Tensor gated_on_cuda(const at::Tensor& gate, const at::Tensor& up, std::string_view name);

}  // namespace kvtransfer::kernels
