#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace kvtransfer::kernels {

/// A norm's input, checked: rows that follow one another.
struct norm_rows {
  at::Tensor x;                    // [rows, width], contiguous
  std::optional<at::Tensor> more;  // likewise
  std::int64_t rows = 0;
  std::int64_t width = 0;
};

/// @throws shape_error, value_error where `weight` or `more` does not fit `x`
[[nodiscard]] norm_rows checked_norm(const at::Tensor& x, const std::optional<at::Tensor>& more,
                                     const at::Tensor& weight);

}  // namespace kvtransfer::kernels
