#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

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

/// The operators on a GPU; rms_norm.cpp describes them.
[[nodiscard]] at::Tensor rms_norm_on_cuda(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one);
[[nodiscard]] std::tuple<at::Tensor, at::Tensor> add_rms_norm_on_cuda(const at::Tensor& x, const at::Tensor& more,
                                                                      const at::Tensor& weight, double eps,
                                                                      bool adds_one);

}  // namespace kvtransfer::kernels
