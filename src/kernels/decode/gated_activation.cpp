#include "kernels/decode/gated_activation.hpp"

#include <ATen/Dispatch_v2.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The middle of a gated MLP.
//
//   gated_activation(gate, up, name)  activation(gate) * up, the activation rounded before it is multiplied
//
// gate, up  [..., width], float, bfloat16 or half
// name      "silu", "gelu" (exact) or "gelu_tanh"
//
// There are no gradients.

namespace kvtransfer::kernels {

activation activation_named(std::string_view name) {
  if (name == "silu") {
    return activation::silu;
  }
  if (name == "gelu") {
    return activation::gelu;
  }
  require<value_error>(name == "gelu_tanh", "gated_activation", "name", "silu, gelu or gelu_tanh", std::string(name));
  return activation::gelu_tanh;
}

gated_rows checked_gate(const at::Tensor& gate, const at::Tensor& up) {
  require<shape_error>(
      gate.dim() > 0 && gate.size(-1) > 0 && gate.sizes() == up.sizes(), "gated_activation", "up",
      [&] { return describe(gate); }, [&] { return describe(up); });
  require<value_error>(
      gate.scalar_type() == up.scalar_type() && gate.device() == up.device(), "gated_activation", "up",
      [&] { return describe(gate); }, [&] { return describe(up); });
  const auto rows = [](const at::Tensor& x) {
    const at::Tensor flat = x.reshape({-1, x.size(-1)});
    return flat.stride(1) == 1 ? flat : flat.contiguous();
  };
  return {rows(gate), rows(up)};
}

namespace {

float activated(float x, activation how) {
  constexpr double a = std::numbers::sqrt2 / 2;
  switch (how) {
    case activation::gelu:
      return x * 0.5F * (1.0F + std::erf(x * static_cast<float>(a)));
    case activation::gelu_tanh: {
      constexpr double b = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
      const float inner = static_cast<float>(b) * (x + 0.044715F * x * x * x);
      return 0.5F * x * (1.0F + std::tanh(inner));
    }
    case activation::silu:
      break;
  }
  return x / (1.0F + std::exp(-x));
}

template <class Element>
void gate_on_cpu(const gated_rows& in, activation how, const at::Tensor& result) {
  const Element* const gate = in.gate.const_data_ptr<Element>();
  const Element* const up = in.up.const_data_ptr<Element>();
  Element* const to = result.mutable_data_ptr<Element>();
  const std::int64_t width = in.gate.size(1);
  constexpr std::int64_t elements_worth_a_thread = 4096;
  at::parallel_for(0, result.numel(), elements_worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int64_t row = e / width;
      const auto x = static_cast<float>(gate[row * in.gate.stride(0) + e % width]);
      const auto factor = static_cast<float>(up[row * in.up.stride(0) + e % width]);
      to[e] = static_cast<Element>(static_cast<float>(static_cast<Element>(activated(x, how))) * factor);
    }
  });
}

}  // namespace

at::Tensor gated_on_cpu(const at::Tensor& gate, const at::Tensor& up, std::string_view name) {
  const gated_rows in = checked_gate(gate, up);
  const at::Tensor result = at::empty(gate.sizes(), gate.options());
  AT_DISPATCH_V2(gate.scalar_type(), "gated_activation",
                 AT_WRAP([&] { gate_on_cpu<scalar_t>(in, activation_named(name), result); }), at::kFloat, at::kBFloat16,
                 at::kHalf);
  return result;
}

}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("gated_activation(Tensor gate, Tensor up, str name) -> Tensor");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("gated_activation", TORCH_FN(kvtransfer::kernels::gated_on_cpu));
}
