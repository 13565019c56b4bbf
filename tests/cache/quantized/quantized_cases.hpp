#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cstdint>

#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/quantized/quantize_cache.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "tensor/quantized/schemes.hpp"
#include "tensor/quantized/spread_groups.hpp"

namespace kvtransfer::test {

/// The same cache in float64.
inline reference_cache in_double(const reference_cache& reference) {
  reference_cache copy = reference;
  for (std::size_t i = 0; i < copy.keys.size(); ++i) {
    copy.keys[i] = reference.keys[i].to(at::kDouble);
    copy.values[i] = reference.values[i].to(at::kDouble);
  }
  return copy;
}

/// The largest difference of two key tensors where `frame` holds a key.
inline double held_difference(const at::Tensor& a, const at::Tensor& b, const layer_frame& frame) {
  const at::Tensor held = validity_tensor(frame.positions).unsqueeze(-1);
  const at::Tensor difference = (a.to(at::kCPU, at::kDouble) - b.to(at::kCPU, at::kDouble)).abs();
  return at::where(held, difference, at::Scalar(0.0)).max().item<double>();
}

/// The largest error of a key as a share of the bound for its group.
inline double share_of_key_bound(const quantized_cache& kv, const cache_view<>& truth) {
  double worst = 0;
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    const quantized_tensor& keys = kv.keys(i);
    const at::Tensor bound = spread_groups(error_bound(keys), keys.scheme, keys.groups).to(at::kCPU);
    const at::Tensor error = (dequantize(keys, at::kDouble).to(at::kCPU) - truth.layer(i).keys().to(at::kCPU)).abs();
    const at::Tensor held = validity_tensor(truth.layer(i).frame().positions).unsqueeze(-1);
    worst = std::max(worst, at::where(held, error / bound, at::Scalar(0.0)).max().item<double>());
  }
  return worst;
}

}  // namespace kvtransfer::test
