#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/tensor/layouts.hpp"

namespace kvtransfer::bench {

/// Extents of the caches under test: Llama-3-8B's heads.
struct cache_size {
  std::int64_t layers = 1;
  std::int64_t batch = 4;
  std::int64_t kv_heads = 8;
  std::int64_t seq = 4096;
  std::int64_t head_dim = 128;

  std::int64_t bytes() const { return 2 * layers * batch * kv_heads * seq * head_dim * 2; }
};

/// Enough to leave every cache behind: one layer of 67 MB on a CPU, all 32 on a GPU, 2 GB.
inline cache_size size_for(at::Device device) { return {.layers = device.is_cuda() ? 32 : 1}; }

inline rotary_specification llama_rotary(std::int64_t head_dim) {
  rotary_specification rotary;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    rotary.inv_freq.push_back(std::pow(5e5F, -2.0F * static_cast<float>(i) / static_cast<float>(head_dim)));
  }
  return rotary;
}

inline cache_frame frame_of(const cache_size& size) {
  return cache_frame(size.layers, {position_map::consecutive(0, size.seq, size.batch), {llama_rotary(size.head_dim)}});
}

/// A random bf16 cache as `[batch, kv_heads, seq, head_dim]`.
inline cache_view<> random_cache(const cache_size& size, at::Device device) {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kBFloat16).device(device);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < size.layers; ++i) {
    keys.push_back(at::randn({size.batch, size.kv_heads, size.seq, size.head_dim}, options));
    values.push_back(at::randn({size.batch, size.kv_heads, size.seq, size.head_dim}, options));
  }
  return cache_view<>(keys, values, frame_of(size));
}

inline layouts::ragged ragged_for(const cache_size& size) {
  return {layouts::cumulative_slots(at::arange(0, (size.batch + 1) * size.seq, size.seq, at::kLong))};
}

/// Blocks of 16 tokens, in random order, in a pool of twice as many.
inline layouts::slot_table blocks_for(const cache_size& size) {
  const std::int64_t blocks = size.batch * size.seq / 16;
  const at::Tensor table = at::randperm(2 * blocks, at::TensorOptions().dtype(at::kLong)).slice(0, 0, blocks);
  return layouts::block_slots(table.view({size.batch, -1}), at::full({size.batch}, size.seq, at::kLong), 16);
}

}  // namespace kvtransfer::bench
