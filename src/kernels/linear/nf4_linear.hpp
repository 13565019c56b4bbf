#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "kernels/linear/nf4_product.hpp"

namespace kvtransfer::kernels {

/// A matrix in bitsandbytes' NF4 as the operators take it; nf4_linear.cpp describes each.
struct nf4_tensors {
  at::Tensor codes;
  at::Tensor absmax;
  std::optional<at::Tensor> nested_absmax;
  std::optional<at::Tensor> quant_map;
  std::optional<at::Tensor> offset;
  std::int64_t out = 0;
  std::int64_t block_size = 64;
  std::int64_t nested_block_size = 256;
  at::ScalarType dtype = at::kFloat;

  /// All of them in the schema's order.
  [[nodiscard]] auto arguments() const {
    return std::tie(codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype);
  }
};

/// `matrix` lowered, checked. @throws shape_error, value_error naming what does not fit
[[nodiscard]] nf4_codes lower(const nf4_tensors& matrix, nf4_rounding rounding, const char* where);

/// What values of a matrix of `stored` are rounded to on their way to `used`. @throws value_error for float16 on the
/// way to bfloat16 or back: two roundings
[[nodiscard]] nf4_rounding rounding_of(at::ScalarType stored, at::ScalarType used, const char* where);

/// Checks `x`, whose last axis is the matrix's `in`. @return as `[rows, in]`, contiguous and aligned
/// to 16 bytes
[[nodiscard]] at::Tensor checked_rows(const at::Tensor& x, const nf4_tensors& matrix);

/// The result's shape: that of x with `out` last.
[[nodiscard]] at::Tensor shaped_as_result(const at::Tensor& product, const at::Tensor& x, std::int64_t out);

using optional_tensor = std::optional<at::Tensor>;

/// `kvtransfer::nf4_linear` and `kvtransfer::nf4_dequantize` on a GPU.
[[nodiscard]] at::Tensor nf4_linear_on_cuda(const nf4_tensors& matrix, const at::Tensor& x,
                                            const optional_tensor& bias);
[[nodiscard]] at::Tensor nf4_dequantize_on_cuda(const nf4_tensors& matrix);

}  // namespace kvtransfer::kernels
