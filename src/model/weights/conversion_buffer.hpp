#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>

#include <cstdint>
#include <vector>

namespace kvtransfer::detail {

/// Memory for matrices that are held one at a time, on their way into 4 bits: the same for all of them. Freed one by
/// one, they would leave holes in the heap that the next, aligned elsewhere, does not fit into.
class conversion_buffer {
 public:
  /// @param elements of the largest matrix; nothing is allocated until the first is asked for
  conversion_buffer(std::int64_t elements, at::TensorOptions options) : elements_(elements), options_(options) {}

  /// A matrix of that shape, whose content is whatever was there: valid until the next one is asked for.
  [[nodiscard]] at::Tensor of_shape(const std::vector<std::int64_t>& shape) {
    if (!memory_.defined()) {
      memory_ = at::empty({elements_}, options_);
    }
    return memory_.narrow(0, 0, c10::multiply_integers(shape)).view(shape);
  }

 private:
  std::int64_t elements_;
  at::TensorOptions options_;
  at::Tensor memory_;
};

}  // namespace kvtransfer::detail
