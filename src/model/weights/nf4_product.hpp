#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights/nf4_matrix.hpp"

namespace kvtransfer::detail {

/// `x · matrixᵀ + bias` from the codes, by the kernels' library; nothing where it is not loaded or does not take these:
/// with gradients, with many rows of x (the matrix is then brought back faster), with blocks that are no power of two.
/// @param x [..., in] @param bias [out], or undefined
/// @return [..., out] in x's dtype: the product with `dequantize_nf4(matrix)`, sums in fp32
[[nodiscard]] std::optional<at::Tensor> nf4_product(const at::Tensor& x, const nf4_matrix& matrix,
                                                    const at::Tensor& bias);

/// The same with up to three matrices of one width, dtype and block sizes in one launch, on a GPU and of few rows;
/// nothing where they differ or `nf4_product` gives nothing.
[[nodiscard]] std::optional<std::vector<at::Tensor>> nf4_products(const at::Tensor& x,
                                                                  const std::vector<const nf4_matrix*>& matrices,
                                                                  const std::vector<at::Tensor>& biases);

/// activation(x · gateᵀ) · (x · upᵀ) likewise.
[[nodiscard]] std::optional<at::Tensor> nf4_gate(const at::Tensor& x, const nf4_matrix& gate, const nf4_matrix& up,
                                                 const at::Tensor& gate_bias, const at::Tensor& up_bias,
                                                 gate_activation activation);

/// `dequantize_nf4(matrix)` by the kernels' library, bit for bit the same; nothing where it can't.
[[nodiscard]] std::optional<at::Tensor> nf4_values(const nf4_matrix& matrix);

}  // namespace kvtransfer::detail
