#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "kvtransfer/model/weights/nf4_matrix.hpp"

namespace kvtransfer {

/// A layer's matrix [out, in]: floating numbers, or their 4-bit codes; undefined where a model lacks it.
class weight_matrix {
 public:
  /// None.
  weight_matrix() = default;
  /// Implicit: a tensor is a matrix.
  weight_matrix(at::Tensor dense) : dense_(std::move(dense)) {}
  /// Implicit: so are codes.
  weight_matrix(nf4_matrix quantized) : nf4_(std::move(quantized)) {}

  /// Whether the model has it.
  [[nodiscard]] bool defined() const { return dense_.defined() || nf4_; }

  /// The codes, if these are what is kept.
  [[nodiscard]] const std::optional<nf4_matrix>& nf4() const { return nf4_; }
  /// Likewise, to be replaced.
  [[nodiscard]] std::optional<nf4_matrix>& nf4() { return nf4_; }

  /// The numbers as they are kept; undefined where codes are.
  [[nodiscard]] const at::Tensor& dense() const { return dense_; }
  /// Likewise, to be replaced.
  [[nodiscard]] at::Tensor& dense() { return dense_; }

  /// The numbers: of codes a new tensor, brought back anew at every call.
  [[nodiscard]] at::Tensor values() const { return nf4_ ? dequantize_nf4(*nf4_) : dense_; }

 private:
  at::Tensor dense_;
  std::optional<nf4_matrix> nf4_;
};

}  // namespace kvtransfer
