#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_cholesky_ex_ops.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

/// Columns of a matrix.
class column_choice {
 public:
  column_choice() = default;
  column_choice(std::int64_t first, std::int64_t count) { add(first, count); }

  void add(std::int64_t first, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      columns_.push_back(first + i);
    }
  }

  [[nodiscard]] at::Tensor tensor(at::Device device) const { return integer_tensor(columns_, device); }

 private:
  std::vector<std::int64_t> columns_;
};

/// Sums over tokens, float64: what is added in another order differs by rounding alone.
class summed_moments {
 public:
  /// @param in elements of x, @param out elements of y
  summed_moments(std::int64_t in, std::int64_t out) : in_(in), out_(out) {}

  /// @param x `[tokens, in]`, @param y `[tokens, out]`, both float64
  void add(const at::Tensor& x, const at::Tensor& y) {
    merge_sums(x.transpose(0, 1).matmul(x), x.transpose(0, 1).matmul(y), x.sum(0), y.sum(0));
  }

  void merge(const summed_moments& other) {
    if (other.xx_.defined()) {
      merge_sums(other.xx_, other.xy_, other.x_, other.y_);
    }
  }

  /// Zeros where nothing was added.
  [[nodiscard]] at::Tensor xx() const { return xx_.defined() ? xx_ : zeros({in_, in_}); }
  [[nodiscard]] at::Tensor xy() const { return xy_.defined() ? xy_ : zeros({in_, out_}); }
  [[nodiscard]] at::Tensor x() const { return x_.defined() ? x_ : zeros({in_}); }
  [[nodiscard]] at::Tensor y() const { return y_.defined() ? y_ : zeros({out_}); }

 private:
  [[nodiscard]] static at::Tensor zeros(at::IntArrayRef sizes) { return new_tensor(sizes, at::kDouble).zero_(); }

  void merge_sums(const at::Tensor& xx, const at::Tensor& xy, const at::Tensor& x, const at::Tensor& y) {
    xx_ = this->xx().to(xx.device()).add(xx);
    xy_ = this->xy().to(xx.device()).add(xy);
    x_ = this->x().to(xx.device()).add(x);
    y_ = this->y().to(xx.device()).add(y);
  }

  std::int64_t in_;
  std::int64_t out_;
  at::Tensor xx_;  // [in, in]
  at::Tensor xy_;  // [in, out]
  at::Tensor x_;   // [in]
  at::Tensor y_;   // [out]
};

/// y ≈ x·weight + bias.
struct ridge_solution {
  at::Tensor weight;  // [in, out]
  at::Tensor bias;    // [out]
};

/// The minimum of Σ‖y − x·weight − bias‖² + λ‖weight‖² over some columns of x and y.
/// Source: Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems" (1970), centred.
/// @throws value_error where nothing was added, or the moments are singular for so small a λ
[[nodiscard]] inline ridge_solution ridge_solved(const summed_moments& moments, const column_choice& in,
                                                 const column_choice& out, std::int64_t tokens, double lambda,
                                                 std::string_view what) {
  require<value_error>(tokens > 0, "ridge_moments::fit", what, "moments of at least one token", "none");
  const at::Device device = moments.xx().device();
  const at::Tensor rows = in.tensor(device);
  const at::Tensor columns = out.tensor(device);
  const at::Tensor x_mean = moments.x().index_select(0, rows).div(tokens);
  const at::Tensor y_mean = moments.y().index_select(0, columns).div(tokens);
  const at::Tensor xx = moments.xx().index_select(0, rows).index_select(1, rows);
  const at::Tensor xy = moments.xy().index_select(0, rows).index_select(1, columns);
  at::Tensor normal = xx.sub(x_mean.unsqueeze(1).mul(x_mean.unsqueeze(0)).mul(tokens));
  normal.diagonal().add_(lambda);
  const at::Tensor right = xy.sub(x_mean.unsqueeze(1).mul(y_mean.unsqueeze(0)).mul(tokens));
  const auto [factor, problem] = at::_ops::linalg_cholesky_ex::call(normal, false, false);
  require<value_error>(problem.item<std::int64_t>() == 0, "ridge_moments::fit", what,
                       "a lambda that makes the moments solvable", formatted("{} (of {} tokens)", lambda, tokens));
  const at::Tensor weight = right.cholesky_solve(factor);
  return {weight, y_mean.sub(x_mean.unsqueeze(0).matmul(weight).squeeze(0))};
}

}  // namespace kvtransfer::detail
