#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace kvtransfer::detail {

/// Rows that a product of `rows` rows is made with by `linear_in_rounded_rows`: 1, 2, 4, 8, 16, then multiples of 16,
/// from 256 on of an eighth of the power of two below.
[[nodiscard]] std::int64_t rounded_rows(std::int64_t rows);

/// `at::linear`. On a CPU in bfloat16 or float16, where no gradient is wanted, with rows of zeros behind x's up to
/// `rounded_rows`: oneDNN compiles code for every number of rows, milliseconds and 0.6 MB for each matrix's shape, and
/// keeps it, so that a batch that shrinks row by row is left with more code than weights. Its tiles have 16 rows.
/// @param x [..., in]
/// @param bias undefined for none
[[nodiscard]] at::Tensor linear_in_rounded_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace kvtransfer::detail
