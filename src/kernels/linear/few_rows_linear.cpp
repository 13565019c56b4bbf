#include "kernels/linear/few_rows_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/decode/gated_activation.hpp"
#include "kernels/linear/dense_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// Products of a few rows with matrices: what a decode step spends its time on, at the speed at which matrices are read.
//
//   few_rows_linear(x, weight, bias)             x · weightᵀ + bias
//   few_rows_linears(x, weights, biases)         the same with up to three matrices
//   few_rows_gate(x, gate, up, biases, name)     activation(x · gateᵀ) * (x · upᵀ), see gated_activation
//
// x       [..., in], float or bfloat16; on a GPU half too, and up to 8 rows; results are [..., out] in its dtype
// weight  [out, in], contiguous, in x's dtype; bias [out] likewise, or absent
//
// Sums are fp32, rounded once; a gate's two products before they are used. There are no gradients.

namespace kvtransfer::kernels {

joint_tensors checked_few_rows(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                               const std::vector<std::optional<at::Tensor>>& biases) {
  constexpr const char* where = "few_rows_linear";
  require<shape_error>(!weights.empty() && weights.size() <= 3 && biases.size() == weights.size(), where, "weights",
                       "one to three, each with its bias or none", [&] { return std::to_string(weights.size()); });
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const at::Tensor& weight = weights[i];
    require<shape_error>(
        weight.dim() == 2 && weight.is_contiguous() && x.dim() > 0 && x.size(-1) == weight.size(1) && x.size(-1) > 0 &&
            (x.is_cpu() || x.numel() <= most_few_rows * x.size(-1)),
        where, "x", [&] { return "[..., in], on a GPU 8 rows or fewer, for weight " + describe(weight); },
        [&] { return describe(x); });
    require<value_error>(
        weight.scalar_type() == x.scalar_type(), where, "weight", [&] { return "the dtype of x " + describe(x); },
        [&] { return describe(weight); });
    require_same_device(x, weight, where, "weight");
    if (const std::optional<at::Tensor>& bias = biases[i]) {
      require<shape_error>(
          bias->dim() == 1 && bias->size(0) == weight.size(0) && bias->is_contiguous() &&
              bias->scalar_type() == x.scalar_type() && bias->device() == x.device(),
          where, "bias", [&] { return "[out] in the dtype and on the device of weight " + describe(weight); },
          [&] { return describe(*bias); });
    }
  }
  return {x.reshape({-1, x.size(-1)}).contiguous(), weights, biases, x.sizes().vec()};
}

std::vector<std::int64_t> shape_of_product(const joint_tensors& joint, std::int64_t out) {
  std::vector<std::int64_t> shape = joint.shape;
  shape.back() = out;
  return shape;
}

void require_gate(const std::vector<std::int64_t>& outs, const char* where) {
  require<shape_error>(outs.size() == 2 && outs[0] == outs[1], where, "weights", "two of one shape", "others");
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

std::vector<at::Tensor> products_on_cpu(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                        const std::vector<std::optional<at::Tensor>>& biases) {
  constexpr std::int64_t elements_worth_a_thread = 65536;
  const joint_tensors joint = checked_few_rows(x, weights, biases);
  require<value_error>(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "few_rows_linear", "x",
                       "float or bfloat16", [&] { return describe(x); });
  const at::Tensor rows = joint.rows.to(at::kFloat);
  static const dense_cpu_variant& variant = best_dense_variant();
  const auto multiply = x.scalar_type() == at::kFloat ? variant.float32 : variant.bfloat16;
  std::vector<at::Tensor> products;
  std::vector<dense_product> lowered;
  std::vector<std::int64_t> first{0};  // of each matrix's rows, counted through
  for (const at::Tensor& weight : weights) {
    products.push_back(at::empty({rows.size(0), weight.size(0)}, rows.options()));
    lowered.push_back({weight.const_data_ptr(), rows.const_data_ptr<float>(), products.back().mutable_data_ptr<float>(),
                       rows.size(0), weight.size(0), weight.size(1)});
    first.push_back(first.back() + weight.size(0));
  }
  at::parallel_for(0, first.back(), elements_worth_a_thread / (rows.numel() + 1) + 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::size_t i = 0; i < lowered.size(); ++i) {
                       const std::int64_t from = std::max(begin, first[i]) - first[i];
                       const std::int64_t to = std::min(end, first[i + 1]) - first[i];
                       if (from < to) {
                         multiply(lowered[i], from, to);
                       }
                     }
                   });
  for (std::size_t i = 0; i < products.size(); ++i) {
    products[i] = (biases[i] ? products[i] + *biases[i] : products[i])
                      .to(x.scalar_type())
                      .view(shape_of_product(joint, weights[i].size(0)));
  }
  return products;
}

std::vector<std::optional<at::Tensor>> listed(const optional_tensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

at::Tensor few_rows_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  return products_on_cpu(x, {weight}, {bias}).front();
}

std::vector<at::Tensor> few_rows_linears(const at::Tensor& x, at::TensorList weights, const optional_tensors& biases) {
  return products_on_cpu(x, weights.vec(), listed(biases));
}

at::Tensor few_rows_gate(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up,
                         const optional_tensors& biases, std::string_view name) {
  require_gate({gate.size(0), up.size(0)}, "few_rows_gate");
  const std::vector<at::Tensor> products = products_on_cpu(x, {gate, up}, listed(biases));
  return gated_on_cpu(products[0], products[1], name);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("few_rows_linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor");
  library.def("few_rows_linears(Tensor x, Tensor[] weights, Tensor?[] biases) -> Tensor[]");
  library.def("few_rows_gate(Tensor x, Tensor gate, Tensor up, Tensor?[] biases, str name) -> Tensor");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("few_rows_linear", TORCH_FN(kvtransfer::kernels::few_rows_linear));
  library.impl("few_rows_linears", TORCH_FN(kvtransfer::kernels::few_rows_linears));
  library.impl("few_rows_gate", TORCH_FN(kvtransfer::kernels::few_rows_gate));
}
