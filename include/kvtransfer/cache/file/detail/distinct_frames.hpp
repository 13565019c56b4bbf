#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/frame_json.hpp"

namespace kvtransfer {

/// A cache's layer frames, each once, and which of them every layer is read in.
struct distinct_frames {
  std::vector<cache_frame::shared_layer> frames;
  std::vector<std::size_t> layers;

  /// Layers share a frame here where theirs are equal, whether or not they are the same object.
  explicit distinct_frames(const cache_frame& frame) : layers(add(frame)) {}

  /// Adds the layers of another frame. @return which of `frames` each of them is read in
  std::vector<std::size_t> add(const cache_frame& frame) {
    std::vector<std::size_t> indices;
    for (std::int64_t i = 0; i < frame.layers(); ++i) {
      const cache_frame::shared_layer& mine = frame.shared(i);
      const auto found = std::find_if(frames.begin(), frames.end(), [&](const cache_frame::shared_layer& known) {
        return known == mine || *known == *mine;
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
inline frame_record record_of(const cache_frame& frame, const distinct_frames& distinct) {
  frame_record record{frame.model(), frame.assumed(), distinct.layers, {}};
  for (const cache_frame::shared_layer& layer : distinct.frames) {
    record.frames.push_back(layer->specifications);
  }
  return record;
}

}  // namespace kvtransfer
