#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "rope/complex_reference.hpp"

namespace kvtransfer::test {

/// How one key is written, spelled out: nothing here knows of runs, specifications or broadcasting.
struct reference_key {
  std::vector<std::int64_t> positions;                // of each stream, tokens; empty for padding
  std::optional<rotary_specification> specification;  // nothing for a key without rotation
};

/// Keys `[batch, kv_heads, seq, head_dim]`, float64, each written its own way by complex numbers.
/// @param plain keys before any rotation, of that shape
/// @param keys one entry for each of batch, kv_heads and seq, in that order
inline at::Tensor reference_written(const at::Tensor& plain, const std::vector<reference_key>& keys) {
  const at::Tensor written = plain.detach().to(at::kDouble).contiguous().clone();
  const at::Tensor flat = written.view({-1, 1, 1, 1, plain.size(-1)});
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const reference_key& how = keys[i];
    if (!how.specification || how.positions.empty()) {
      continue;
    }
    const rotary_specification& rotary = *how.specification;
    const at::Tensor key = flat[static_cast<std::int64_t>(i)];
    key.copy_(rotated_as_complex(key, rotary, rotary.attention_scaling, [&](auto, auto, auto, std::int64_t pair) {
      const auto frequency = static_cast<std::size_t>(pair);
      const std::size_t stream =
          rotary.stream_of.empty() || how.positions.size() == 1 ? 0 : rotary.stream_of[frequency];
      return static_cast<double>(how.positions[stream]) * static_cast<double>(rotary.inv_freq[frequency]);
    }));
  }
  return written;
}

/// What `frame` says of every key of `kv_heads` heads, in `reference_written`'s order.
inline std::vector<reference_key> reference_keys(const layer_frame& frame, std::int64_t kv_heads) {
  const position_map& positions = frame.positions;
  std::vector<reference_key> keys;
  for (std::int64_t batch = 0; batch < positions.batch(); ++batch) {
    for (std::int64_t head = 0; head < kv_heads; ++head) {
      const std::vector<position_run> slots = positions.row(0, batch, head).one_run_per_slot();
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        reference_key& key = keys.emplace_back();
        for (std::int64_t stream = 0; stream < positions.streams() && !slots[slot].state.is_padding(); ++stream) {
          key.positions.push_back(positions.row(stream, batch, head).positions()[slot]);
        }
        if (slots[slot].state.is_rotated()) {
          key.specification = frame.specifications.at(static_cast<std::size_t>(slots[slot].state.specification()));
        }
      }
    }
  }
  return keys;
}

}  // namespace kvtransfer::test
