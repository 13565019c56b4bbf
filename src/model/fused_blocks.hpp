#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/model/config.hpp"

namespace kvtransfer::detail {

// Blocks of a decoder by the kernels' library, each in one pass over memory: nothing where the library is not loaded,
// has no kernel for the device or the dtype, or gradients are wanted. They round where PyTorch's operations do, one by
// one; sums are in another order.

/// `transformer::rms_norm`.
[[nodiscard]] std::optional<at::Tensor> fused_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                                                       bool adds_one);

/// x + more, and the norm of that.
struct summed_norm {
  at::Tensor sum;
  at::Tensor normed;
};

/// The sum in front of a norm, and the norm.
[[nodiscard]] std::optional<summed_norm> fused_add_rms_norm(const at::Tensor& x, const at::Tensor& more,
                                                            const at::Tensor& weight, double eps, bool adds_one);

/// As the operators call an activation.
[[nodiscard]] std::string_view name_of(gate_activation activation);

/// activation(gate) · up.
[[nodiscard]] std::optional<at::Tensor> fused_gate(const at::Tensor& gate, const at::Tensor& up,
                                                   gate_activation activation);

/// `x · weightᵀ + bias`, where x has so few rows that reading the matrix is what it costs.
/// @param bias undefined for none
[[nodiscard]] std::optional<at::Tensor> few_rows_product(const at::Tensor& x, const at::Tensor& weight,
                                                         const at::Tensor& bias);

/// The same with up to three matrices at once. @param biases one each, undefined for none
[[nodiscard]] std::optional<std::vector<at::Tensor>> few_rows_products(const at::Tensor& x,
                                                                       const std::vector<at::Tensor>& weights,
                                                                       const std::vector<at::Tensor>& biases);

/// activation(x · gateᵀ) · (x · upᵀ), both products rounded before they are used.
[[nodiscard]] std::optional<at::Tensor> few_rows_gate(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up,
                                                      const at::Tensor& gate_bias, const at::Tensor& up_bias,
                                                      gate_activation activation);

}  // namespace kvtransfer::detail
