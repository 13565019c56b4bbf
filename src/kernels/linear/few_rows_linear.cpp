#include "kernels/linear/few_rows_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <string>
#include <vector>

#include "kernels/linear/dense_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// Products of a few rows with a matrix: what a decode step spends its time on, at the speed at which the matrix is
// read.
//
//   few_rows_linear(x, weight, bias)  x · weightᵀ + bias
//
// x       [..., in], up to 8 rows, float or bfloat16, on a GPU half too; the result is [..., out] in its dtype
// weight  [out, in], contiguous, in x's dtype; bias [out] likewise, or absent
//
// Sums are fp32, rounded once. There are no gradients.

namespace kvtransfer::kernels {

at::Tensor checked_few_rows(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  constexpr const char* where = "few_rows_linear";
  require<shape_error>(
      weight.dim() == 2 && weight.is_contiguous() && x.dim() > 0 && x.size(-1) == weight.size(1) && x.size(-1) > 0 &&
          x.numel() <= most_few_rows * x.size(-1),
      where, "x", [&] { return "[..., in], 8 rows or fewer, for weight " + describe(weight); },
      [&] { return describe(x); });
  require<value_error>(
      weight.scalar_type() == x.scalar_type(), where, "weight", [&] { return "the dtype of x " + describe(x); },
      [&] { return describe(weight); });
  require_same_device(x, weight, where, "weight");
  if (bias) {
    require<shape_error>(
        bias->dim() == 1 && bias->size(0) == weight.size(0) && bias->is_contiguous() &&
            bias->scalar_type() == x.scalar_type() && bias->device() == x.device(),
        where, "bias", [&] { return "[out] in the dtype and on the device of weight " + describe(weight); },
        [&] { return describe(*bias); });
  }
  return x.reshape({-1, x.size(-1)}).contiguous();
}

const dense_cpu_variant& best_dense_variant() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return dense_avx512_variant;
  }
  if (capability == "AVX2") {
    return dense_avx2_variant;
  }
#endif
  return dense_scalar_variant;
}

namespace {

at::Tensor few_rows_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  constexpr std::int64_t elements_worth_a_thread = 65536;
  const at::Tensor rows = checked_few_rows(x, weight, bias).to(at::kFloat);
  require<value_error>(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "few_rows_linear", "x",
                       "float or bfloat16", [&] { return describe(x); });
  const at::Tensor product = at::empty({rows.size(0), weight.size(0)}, rows.options());
  const dense_product lowered{weight.const_data_ptr(),
                              rows.const_data_ptr<float>(),
                              product.mutable_data_ptr<float>(),
                              rows.size(0),
                              weight.size(0),
                              weight.size(1)};
  static const dense_cpu_variant& variant = best_dense_variant();
  const auto multiply = weight.scalar_type() == at::kFloat ? variant.float32 : variant.bfloat16;
  at::parallel_for(0, lowered.out, elements_worth_a_thread / (lowered.in * lowered.rows + 1) + 1,
                   [&](std::int64_t begin, std::int64_t end) { multiply(lowered, begin, end); });
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = lowered.out;
  return (bias ? product + *bias : product).to(x.scalar_type()).view(shape);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("few_rows_linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("few_rows_linear", TORCH_FN(kvtransfer::kernels::few_rows_linear));
}
