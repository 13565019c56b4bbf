#pragma once

#include "kernels/decode/gated_activation.hpp"

namespace kvtransfer::kernels {

__device__ inline float activated(float x, activation how) {
  if (how == activation::gelu) {
    return x * 0.5F * (1.0F + erff(x * 0.70710678118654752F));
  }
  if (how == activation::gelu_tanh) {
    const float inner = 0.79788456080286536F * (x + 0.044715F * x * x * x);
    return 0.5F * x * (1.0F + tanhf(inner));
  }
  return x / (1.0F + expf(-x));
}

}  // namespace kvtransfer::kernels
