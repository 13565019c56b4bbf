#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/head_shape.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

/// For every slot itself and the `count - 1` before it that hold a key, the nearest first; where there are none before
/// it, the row's first that does. Padding between keys is passed over, so that a row means the same wherever it stands
/// in its batch.
/// @return `count` tensors, int64 `[batch, seq]`
[[nodiscard]] inline std::vector<at::Tensor> slot_window(const position_map& positions, std::int64_t count,
                                                         at::Device device) {
  const at::Tensor valid = validity_tensor(positions, device).all(1);
  const at::Tensor held_first = valid.logical_not().to(at::kByte).argsort(/*stable=*/true, 1, false);
  const at::Tensor rank = valid.to(at::kLong).cumsum(1).sub(1);
  std::vector<at::Tensor> slots;
  for (std::int64_t back = 0; back < count; ++back) {
    slots.push_back(held_first.gather(1, rank.sub(back).clamp_min(0)));
  }
  return slots;
}

/// What a token's features are made of: keys and values of its own slot and of those before it. Differentiable.
/// @param tensors `[batch, kv_heads, seq, head_dim]` @param frame in which they stand; not asked where `count` is 1
/// @param count see `slot_window`
[[nodiscard]] inline std::vector<layer_kv> windowed(const layer_kv& tensors, const layer_frame* frame,
                                                    std::int64_t count) {
  if (count == 1) {
    return {tensors};
  }
  const auto taken = [](const at::Tensor& tensor, const at::Tensor& slots) {
    return tensor.gather(2, slots.unsqueeze(1).unsqueeze(-1).expand(tensor.sizes()));
  };
  require<shape_error>(frame != nullptr, "project", "source_frames", "one for each source layer", "none");
  std::vector<layer_kv> window;
  for (const at::Tensor& slots : slot_window(frame->positions, count, tensors.keys.device())) {
    window.push_back({taken(tensors.keys, slots), taken(tensors.values, slots)});
  }
  return window;
}

/// All that a projector reads of a source for one token, layer after layer and slot after slot: keys as keys, values as
/// values. @param shape of each source layer @param layers their numbers, which an error names
/// @throws shape_error for a layer of another shape
[[nodiscard]] inline std::vector<layer_kv> windows_of(const projection_input& input, const head_shape& shape,
                                                      const std::vector<std::int64_t>& layers, std::int64_t count,
                                                      std::string_view where) {
  require_count<shape_error>(input.source.size(), layers.size(), where, "source layers");
  std::vector<layer_kv> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    require_shape(input.source[i], shape, where, fmt::format("source layer {}", layers[i]));
    const layer_frame* const frame = i < input.source_frames.size() ? input.source_frames[i].get() : nullptr;
    for (layer_kv& each : windowed(input.source[i], frame, count)) {
      all.push_back(std::move(each));
    }
  }
  return all;
}

}  // namespace kvtransfer::detail
