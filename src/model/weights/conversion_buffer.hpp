#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>

#include <cstdint>
#include <vector>

namespace kvtransfer::detail {

/// Memory for matrices that are held one at a time, on their way into 4 bits: that of the largest so far. Freed one by
/// one, they would leave holes in the heap that the next, aligned elsewhere, does not fit into.
class conversion_buffer {
 public:
  explicit conversion_buffer(at::TensorOptions options) : options_(options) {}

  /// A matrix of that shape, whose content is whatever was there: valid until the next one is asked for.
  [[nodiscard]] at::Tensor of_shape(const std::vector<std::int64_t>& shape) {
    const std::int64_t elements = c10::multiply_integers(shape);
    if (!memory_.defined() || memory_.numel() < elements) {
      memory_.reset();  // before there is more of it
      memory_ = at::empty({elements}, options_);
    }
    return memory_.narrow(0, 0, elements).view(shape);
  }

 private:
  at::TensorOptions options_;
  at::Tensor memory_;
};

}  // namespace kvtransfer::detail
