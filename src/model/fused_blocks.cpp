#include "model/fused_blocks.hpp"

#include <ATen/Version.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <limits>
#include <string_view>
#include <tuple>
#include <vector>

#include "kvtransfer/tensor/kernel_table.hpp"
#include "model/needs_gradient.hpp"
#include "model/step_kernels.hpp"

namespace kvtransfer::detail {

namespace {

using optional_tensor = std::optional<at::Tensor>;

bool is_floating(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf; }

/// Whether a kernel of that name may be asked about `x` and a parameter.
bool is_fused(const char* name, const at::Tensor& x, const at::Tensor& parameter) {
  return is_floating(x.scalar_type()) && parameter.scalar_type() == x.scalar_type() && !needs_gradient(x) &&
         !needs_gradient(parameter) && (x.device().is_cpu() || wants_gpu_kernels()) && has_kernel(name, x.device());
}

template <class Signature>
auto operator_of(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

}  // namespace

std::optional<at::Tensor> fused_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  if (!is_fused("kvtransfer::rms_norm", x, weight)) {
    return std::nullopt;
  }
  static const auto called =
      operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, double, bool)>("kvtransfer::rms_norm");
  return called.call(x, weight, eps, adds_one);
}

std::optional<summed_norm> fused_add_rms_norm(const at::Tensor& x, const at::Tensor& more, const at::Tensor& weight,
                                              double eps, bool adds_one) {
  if (!is_fused("kvtransfer::add_rms_norm", x, weight) || needs_gradient(more) || more.sizes() != x.sizes() ||
      more.scalar_type() != x.scalar_type()) {
    return std::nullopt;
  }
  static const auto called = operator_of<std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, double, bool)>("kvtransfer::add_rms_norm");
  auto [sum, normed] = called.call(x, more, weight, eps, adds_one);
  return summed_norm{std::move(sum), std::move(normed)};
}

std::string_view name_of(gate_activation activation) {
  return activation == gate_activation::silu ? "silu" : activation == gate_activation::gelu ? "gelu" : "gelu_tanh";
}

std::optional<at::Tensor> fused_gate(const at::Tensor& gate, const at::Tensor& up, gate_activation activation) {
  if (!is_fused("kvtransfer::gated_activation", gate, up)) {
    return std::nullopt;
  }
  static const auto called =
      operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, std::string_view)>("kvtransfer::gated_activation");
  return called.call(gate, up, name_of(activation));
}

namespace {

/// Whether torch multiplies matrices of bfloat16 in tiles on this processor, not one number of the product after the
/// other.
bool has_bfloat16_tiles() {
  static const bool has = at::get_cpu_capability() == "AVX512";
  return has;
}

/// Rows of x up to which our products are the faster ones: from there on torch multiplies tiles of it at once.
std::int64_t most_rows(const at::Tensor& x) {
  if (x.is_cuda()) {
    return 2;
  }
  return x.scalar_type() == at::kBFloat16 && !has_bfloat16_tiles() ? std::numeric_limits<std::int32_t>::max() : 1;
}

bool is_multiplied(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool few = x.numel() <= most_rows(x) * weight.size(1);
  const bool on_cpu = x.device().is_cpu() && x.scalar_type() != at::kHalf;
  const bool on_gpu = x.is_cuda() && weight.size(1) % 8 == 0 && is_aligned(weight);
  return few && (on_cpu || on_gpu) && weight.is_contiguous() && !needs_gradient(bias) &&
         is_fused("kvtransfer::few_rows_linear", x, weight);
}

optional_tensor given(const at::Tensor& bias) { return bias.defined() ? optional_tensor(bias) : std::nullopt; }

}  // namespace

std::optional<at::Tensor> few_rows_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!is_multiplied(x, weight, bias)) {
    return std::nullopt;
  }
  static const auto called = operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, const optional_tensor&)>(
      "kvtransfer::few_rows_linear");
  return called.call(x, weight, given(bias));
}

std::optional<std::vector<at::Tensor>> few_rows_products(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                                         const std::vector<at::Tensor>& biases) {
  c10::List<optional_tensor> added;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!is_multiplied(x, weights[i], biases[i])) {
      return std::nullopt;
    }
    added.push_back(given(biases[i]));
  }
  static const auto called =
      operator_of<std::vector<at::Tensor>(const at::Tensor&, at::TensorList, const c10::List<optional_tensor>&)>(
          "kvtransfer::few_rows_linears");
  return called.call(x, weights, added);
}

std::optional<at::Tensor> few_rows_gate(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up,
                                        const at::Tensor& gate_bias, const at::Tensor& up_bias,
                                        gate_activation activation) {
  if (!is_multiplied(x, gate, gate_bias) || !is_multiplied(x, up, up_bias)) {
    return std::nullopt;
  }
  const c10::List<optional_tensor> added({given(gate_bias), given(up_bias)});
  static const auto called =
      operator_of<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const c10::List<optional_tensor>&,
                             std::string_view)>("kvtransfer::few_rows_gate");
  return called.call(x, gate, up, added, name_of(activation));
}

}  // namespace kvtransfer::detail
