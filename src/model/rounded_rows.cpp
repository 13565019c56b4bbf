#include "model/rounded_rows.hpp"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linear.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <vector>

#include "model/needs_gradient.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::int64_t tile_rows = 16;

bool is_compiled_by_shape(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf);
}

}  // namespace

std::int64_t rounded_rows(std::int64_t rows) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 1));
  if (rows <= tile_rows) {
    return static_cast<std::int64_t>(std::bit_ceil(count));
  }
  const std::int64_t step = std::max(tile_rows, static_cast<std::int64_t>(std::bit_floor(count)) / 8);
  return (rows + step - 1) / step * step;
}

at::Tensor linear_in_rounded_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto added = bias.defined() ? std::optional(bias) : std::nullopt;
  const std::int64_t rows = x.numel() / std::max<std::int64_t>(weight.size(1), 1);
  const std::int64_t more = rounded_rows(rows) - rows;
  if (more == 0 || rows == 0 || !is_compiled_by_shape(x) || needs_gradient(x) || needs_gradient(weight) ||
      needs_gradient(bias)) {
    return at::linear(x, weight, added);
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor padded = at::constant_pad_nd(x.reshape({rows, weight.size(1)}), {0, 0, 0, more});
  return at::linear(padded, weight, added).narrow(0, 0, rows).view(shape);
}

}  // namespace kvtransfer::detail
