#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <initializer_list>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::kernels {

/// @throws value_error where the operation would leave the tangent of a forward-mode dual among `lists` as it was
inline void refuse_tangents(std::initializer_list<at::TensorList> lists, std::string_view where, std::string_view what,
                            std::string_view expected = "tensors without a forward-mode tangent") {
  for (const at::TensorList list : lists) {
    for (const at::Tensor& tensor : list) {
      if (tensor._fw_grad(0).defined()) {
        fail<value_error>(where, what, expected, "a dual with a tangent");
      }
    }
  }
}

/// @throws value_error where the operation would lose a derivative of one of `lists`, backward or forward
inline void refuse_gradients(std::initializer_list<at::TensorList> lists, std::string_view where, std::string_view what,
                             std::string_view expected = "tensors that need no gradient") {
  for (const at::TensorList list : lists) {
    for (const at::Tensor& tensor : list) {
      require<value_error>(!at::GradMode::is_enabled() || !tensor.requires_grad(), where, what, expected,
                           "one that requires_grad");
    }
  }
  refuse_tangents(lists, where, what, expected);
}

/// Tells autograd that these have changed.
inline void mark_changed(std::initializer_list<at::TensorList> lists) {
  for (const at::TensorList list : lists) {
    for (const at::Tensor& tensor : list) {
      tensor.unsafeGetTensorImpl()->bump_version();
    }
  }
}

/// Runs an operation that changes `lists` and has no derivative. @throws value_error as `refuse_gradients`
template <class Operation>
void below_autograd(std::initializer_list<at::TensorList> lists, std::string_view where, std::string_view what,
                    std::string_view expected, Operation&& operation) {
  refuse_gradients(lists, where, what, expected);
  mark_changed(lists);
  const at::AutoDispatchBelowADInplaceOrView below;
  operation();
}

}  // namespace kvtransfer::kernels
