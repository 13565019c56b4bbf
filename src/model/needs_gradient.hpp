#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace kvtransfer::detail {

/// Whether a derivative with respect to it is wanted, backward or forward.
[[nodiscard]] inline bool needs_gradient(const at::Tensor& tensor) {
  return tensor.defined() && ((at::GradMode::is_enabled() && tensor.requires_grad()) || tensor._fw_grad(0).defined());
}

}  // namespace kvtransfer::detail
