#include "kernels/decode/gated_activation.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>
#include <torch/library.h>

#include <string>

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

at::Tensor gated_on_cpu(const at::Tensor& gate, const at::Tensor& up, std::string_view name) {
  const gated_rows in = checked_gate(gate, up);
  // PyTorch's loops over exponentials are vectorised by a library of its own.
  const auto activated = [&] {
    switch (activation_named(name)) {
      case activation::gelu:
        return at::gelu(in.gate);
      case activation::gelu_tanh:
        return at::gelu(in.gate, "tanh");
      case activation::silu:
        break;
    }
    return at::silu(in.gate);
  };
  return activated().mul_(in.up).view(gate.sizes());
}

}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def("gated_activation(Tensor gate, Tensor up, str name) -> Tensor");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("gated_activation", TORCH_FN(kvtransfer::kernels::gated_on_cpu));
}
