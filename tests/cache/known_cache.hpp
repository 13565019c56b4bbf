#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/where.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "cache/reference_keys.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/tensors.hpp"

namespace kvtransfer::test {

/// A cache and what its keys were before any rotation.
struct known_cache {
  std::vector<at::Tensor> plain;  // per layer, float64, `[batch, kv_heads, seq, head_dim]`
  cache kv;
};

inline constexpr std::int64_t known_head_dim = 8;

/// Plain RoPE over every element of a head of a `known_cache`, written with `scaling`.
inline rotary_specification known_specification(double scaling = 1.0, double theta = 1e4) {
  rotary_specification specification = plain_specification(known_head_dim, theta);
  specification.attention_scaling = scaling;
  return specification;
}

/// Random keys, written as `frame` says, and random values.
/// @param spare slots past those that the frame describes
inline known_cache known_cache_in(const cache_frame& frame, std::int64_t kv_heads = 2,
                                  at::ScalarType dtype = at::kDouble, std::int64_t spare = 0) {
  std::vector<at::Tensor> plain;
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < frame.layers(); ++i) {
    const layer_frame& layer = frame.layer(i);
    const std::int64_t batch = layer.positions.batch();
    const auto seed = static_cast<std::uint64_t>(10 * i);
    plain.push_back(random_keys({batch, kv_heads, layer.size(), known_head_dim}, at::kDouble, seed + 1));
    keys.push_back(random_keys({batch, kv_heads, layer.size() + spare, known_head_dim}, dtype, seed + 2));
    values.push_back(random_keys({batch, kv_heads, layer.size() + spare, known_head_dim}, dtype, seed + 3));
    keys.back().slice(2, 0, layer.size()).copy_(reference_written(plain.back(), reference_keys(layer, kv_heads)));
  }
  return {std::move(plain), cache(std::move(keys), std::move(values), frame, as_written)};
}

/// `layers` layers of `count` tokens from position 0 on.
inline known_cache known_cache_of(std::int64_t layers, std::int64_t count, std::int64_t batch = 1,
                                  at::ScalarType dtype = at::kDouble, std::int64_t spare = 0) {
  return known_cache_in(cache_frame(layers, {position_map::consecutive(0, count, batch), {known_specification()}}), 2,
                        dtype, spare);
}

/// How far keys are from those that complex numbers write as `frame` says; padding counts for nothing.
inline double distance_from_written(const at::Tensor& keys, const at::Tensor& plain, const layer_frame& frame) {
  const at::Tensor held = validity_tensor(frame.positions).unsqueeze(-1);
  const at::Tensor expected = reference_written(plain, reference_keys(frame, keys.size(1)));
  return max_difference(at::where(held, keys.detach().to(at::kCPU, at::kDouble), 0), at::where(held, expected, 0));
}

/// The same for a whole cache and the frame it says it is written in.
inline double distance_from_written(const known_cache& known) {
  const cache_view<> view = known.kv.view();
  double worst = 0;
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    worst = std::max(worst, distance_from_written(view.layer(i).keys(), known.plain[static_cast<std::size_t>(i)],
                                                  view.layer(i).frame()));
  }
  return worst;
}

}  // namespace kvtransfer::test
