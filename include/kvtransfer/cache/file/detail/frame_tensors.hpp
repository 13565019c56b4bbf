#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"
#include "kvtransfer/cache/file/detail/frame_tensor.hpp"
#include "kvtransfer/cache/file/detail/slot_tensors.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// A cache's layer frames, each once, and which of them every layer is read in.
struct distinct_frames {
  std::vector<cache_frame::shared_layer> frames;
  std::vector<std::size_t> layers;

  /// Layers share a frame here where theirs are equal, roundings too, whether or not they are the same object.
  explicit distinct_frames(const cache_frame& frame) : layers(add(frame)) {}

  /// Adds the layers of another frame. @return which of `frames` each of them is read in
  std::vector<std::size_t> add(const cache_frame& frame) {
    std::vector<std::size_t> indices;
    for (std::int64_t i = 0; i < frame.layers(); ++i) {
      const cache_frame::shared_layer& mine = frame.shared(i);
      const auto found = std::find_if(frames.begin(), frames.end(), [&](const cache_frame::shared_layer& known) {
        return known == mine || (*known == *mine && known->roundings == mine->roundings);
      });
      indices.push_back(static_cast<std::size_t>(found - frames.begin()));
      if (found == frames.end()) {
        frames.push_back(mine);
      }
    }
    return indices;
  }
};

/// What a file's JSON says of a frame.
inline frame_record record_of(const cache_frame& frame, const distinct_frames& distinct, file_checksums checksums) {
  frame_record record{frame.origin(), frame.assumed(), distinct.layers, {}, checksums == file_checksums::crc32,
                      frame.edits()};
  for (const cache_frame::shared_layer& layer : distinct.frames) {
    record.frames.push_back(layer->specifications);
    record.roundings.push_back(layer->roundings);
  }
  return record;
}

template <class Scalar>
frame_tensor frame_tensor_of(std::string name, safetensors_dtype dtype, std::vector<std::int64_t> shape,
                             const std::vector<Scalar>& elements) {
  const auto bytes = std::as_bytes(std::span(elements));
  return {{std::move(name), dtype, std::move(shape)}, {bytes.begin(), bytes.end()}};
}

/// Positions and states of every distinct frame, and the token ids where they are known.
/// @throws value_error for a position past 2^53, no row of them, or more than a reader takes
inline std::vector<frame_tensor> frame_tensors(const cache_frame& frame, const distinct_frames& distinct) {
  std::vector<frame_tensor> tensors;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < distinct.frames.size(); ++i) {
    const position_map& map = distinct.frames[i]->positions;
    require<value_error>(map.batch() > 0, "frame_tensors", cache_format::positions(i), "1 or more rows", "none");
    const slot_tensors slots = spread_out(map);
    const std::vector<std::int64_t> states_shape{map.batch(), map.heads(), map.size()};
    tensors.push_back(
        frame_tensor_of(cache_format::positions(i), safetensors_dtype::i64, slots.shape, slots.positions));
    tensors.push_back(frame_tensor_of(cache_format::states(i), safetensors_dtype::i32, states_shape, slots.states));
    rows += static_cast<std::int64_t>(map.rows().size());
  }
  require<value_error>(rows <= cache_format::most_rows, "frame_tensors", "rows of positions",
                       fmt::format("at most {}", cache_format::most_rows), fmt::format("{}", rows));
  const auto add_tokens = [&](std::string name, std::int64_t layer) {
    std::vector<std::int64_t> ids;
    for (const std::vector<std::int64_t>& row : frame.token_ids(layer)) {
      ids.insert(ids.end(), row.begin(), row.end());
    }
    const position_map& slots = frame.layer(layer).positions;
    tensors.push_back(frame_tensor_of(std::move(name), safetensors_dtype::i64, {slots.batch(), slots.size()}, ids));
  };
  if (!frame.token_ids().empty()) {
    add_tokens(std::string(cache_format::token_ids), 0);
    return tensors;
  }
  for (std::int64_t layer = 0; layer < frame.layers(); ++layer) {
    if (!frame.token_ids(layer).empty()) {
      add_tokens(cache_format::layer_token_ids(layer), layer);
    }
  }
  return tensors;
}

}  // namespace kvtransfer::detail
