#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "kvtransfer/model/weights/nf4_matrix.hpp"

namespace kvtransfer::detail {

/// `x · matrixᵀ + bias` from the codes, by the kernels' library; nothing where it is not loaded or does not take these:
/// with gradients, with many rows of x (the matrix is then brought back faster), with blocks that are no power of two.
/// @param x [..., in] @param bias [out], or undefined
/// @return [..., out] in x's dtype: the product with `dequantize_nf4(matrix)`, sums in fp32
[[nodiscard]] std::optional<at::Tensor> nf4_product(const at::Tensor& x, const nf4_matrix& matrix,
                                                    const at::Tensor& bias);

/// `dequantize_nf4(matrix)` by the kernels' library, bit for bit the same; nothing where it can't.
[[nodiscard]] std::optional<at::Tensor> nf4_values(const nf4_matrix& matrix);

}  // namespace kvtransfer::detail
