#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "kernels/linear/dense_product.hpp"

namespace kvtransfer::kernels {

/// `x` as [rows, in], contiguous. @throws shape_error, value_error, device_error where x, weight and bias do not fit
[[nodiscard]] at::Tensor checked_few_rows(const at::Tensor& x, const at::Tensor& weight,
                                          const std::optional<at::Tensor>& bias);

}  // namespace kvtransfer::kernels
