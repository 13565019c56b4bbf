#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/distinct_frames.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/placement.hpp"
#include "kvtransfer/cache/file/detail/slot_tensors.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A tensor of a cache's frame, ready to be written.
struct frame_tensor {
  unplaced_tensor declaration;
  std::vector<std::byte> bytes;
};

namespace cache_file_details {

template <class Scalar>
frame_tensor frame_tensor_of(std::string name, safetensors_dtype dtype, std::vector<std::int64_t> shape,
                             const std::vector<Scalar>& elements) {
  const auto bytes = std::as_bytes(std::span(elements));
  return {{std::move(name), dtype, std::move(shape)}, {bytes.begin(), bytes.end()}};
}

}  // namespace cache_file_details

/// Positions and states of every distinct frame, and the token ids where they are known.
/// @throws value_error for a position past 2^53, no row of them, or more than a reader takes
inline std::vector<frame_tensor> frame_tensors(const cache_frame& frame, const distinct_frames& distinct) {
  namespace details = cache_file_details;
  std::vector<frame_tensor> tensors;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < distinct.frames.size(); ++i) {
    const position_map& map = distinct.frames[i]->positions;
    require<value_error>(map.batch() > 0, "frame_tensors", cache_format::positions(i), "1 or more rows", "none");
    const slot_tensors slots = spread_out(map);
    const std::vector<std::int64_t> states_shape{map.batch(), map.heads(), map.size()};
    tensors.push_back(
        details::frame_tensor_of(cache_format::positions(i), safetensors_dtype::i64, slots.shape, slots.positions));
    tensors.push_back(
        details::frame_tensor_of(cache_format::states(i), safetensors_dtype::i32, states_shape, slots.states));
    rows += static_cast<std::int64_t>(map.rows().size());
  }
  require<value_error>(rows <= cache_format::most_rows, "frame_tensors", "rows of positions",
                       fmt::format("at most {}", cache_format::most_rows), fmt::format("{}", rows));
  if (!frame.token_ids().empty()) {
    std::vector<std::int64_t> ids;
    for (const std::vector<std::int64_t>& row : frame.token_ids()) {
      ids.insert(ids.end(), row.begin(), row.end());
    }
    tensors.push_back(details::frame_tensor_of(std::string(cache_format::token_ids), safetensors_dtype::i64,
                                               {frame.layer(0).positions.batch(), frame.layer(0).size()}, ids));
  }
  return tensors;
}

}  // namespace kvtransfer
