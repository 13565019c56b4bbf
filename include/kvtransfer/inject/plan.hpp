#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

/// Keys and values that a layer may attend to besides the plan's own tokens.
struct segment {
  layer_view<> kv;  ///< one layer's, in the frame they are read in
  /// bool `[batch, kv_heads or 1, seq]`: which of them a query sees. Undefined: every one that is not padding.
  at::Tensor visible;
};

/// Where injected keys came from, as far as their cache knew.
struct plan_origin {
  cache_origin written_by;                           ///< the model that wrote them
  std::vector<std::vector<std::int64_t>> token_ids;  ///< `[batch][injected slot]`, -1 for padding; empty: not known
  bool assumed = false;                              ///< a frame was set by `assume_frame`
  std::vector<cache_edit> edits = {};                ///< what was done to their numbers since
};

/// What a model runs: tokens with their positions, and per layer the keys that came from elsewhere.
///
/// Rows of unequal length are aligned at their right end; the slots in front are padding in `positions`. Masks are
/// derived from this by whoever runs it (a token sees the visible keys of every segment, and its own row up to itself).
struct plan {
  std::vector<std::vector<std::int64_t>> token_ids;  ///< one row per text, never empty
  position_map positions;                            ///< `[streams, batch, 1, longest row]`
  std::vector<std::vector<segment>> layers;          ///< `[layer][segment]`; empty where nothing is injected
  plan_origin origin;                                ///< of what is injected

  /// Sequences.
  std::int64_t batch() const { return static_cast<std::int64_t>(token_ids.size()); }
  /// Tokens in the longest row.
  std::int64_t size() const { return positions.size(); }

  /// Injected slots in front of the tokens in `layer`.
  std::int64_t injected(std::int64_t layer) const {
    std::int64_t slots = 0;
    for (const segment& part : segments(layer)) {
      slots += part.kv.size();
    }
    return slots;
  }

  /// What is injected in front of the tokens in `layer`, left to right. @throws std::out_of_range if there is no such
  /// layer
  const std::vector<segment>& segments(std::int64_t layer) const {
    static const std::vector<segment> none;
    return layers.empty() ? none : layers.at(static_cast<std::size_t>(layer));
  }
};

namespace detail {

inline std::int64_t longest_row(const std::vector<std::vector<std::int64_t>>& rows, std::string_view where) {
  std::int64_t longest = 0;
  for (const std::vector<std::int64_t>& row : rows) {
    require<shape_error>(!row.empty(), where, "token_ids", "at least one token in every row", "an empty row");
    longest = std::max(longest, static_cast<std::int64_t>(row.size()));
  }
  require<shape_error>(longest > 0, where, "token_ids", "at least one row", "none");
  return longest;
}

/// `row` behind as many padding slots as it takes to reach `size`.
inline position_row padded_left(const position_row& row, std::int64_t size) {
  position_row padded;
  padded.append({0, size - row.size(), 0, slot_state::padding()});
  padded.append(row);
  return padded;
}

}  // namespace detail

/// A plan that injects nothing: every row at positions 0, 1, …
/// @throws shape_error for an empty row
inline plan plan_of(std::vector<std::vector<std::int64_t>> token_ids) {
  const std::int64_t longest = detail::longest_row(token_ids, "plan_of");
  std::vector<position_row> rows;
  for (const std::vector<std::int64_t>& row : token_ids) {
    const auto count = static_cast<std::int64_t>(row.size());
    rows.push_back(detail::padded_left(position_row::consecutive(0, count), longest));
  }
  const auto batch = static_cast<std::int64_t>(rows.size());
  return {std::move(token_ids), position_map(1, batch, 1, std::move(rows)), {}, {}};
}

/// The tokens of `rows` as int64 `[batch, longest]`, padded on the left with `padding`.
inline at::Tensor token_tensor(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t padding,
                               at::Device device) {
  const std::int64_t longest = detail::longest_row(rows, "token_tensor");
  at::Tensor tokens = detail::new_tensor({static_cast<std::int64_t>(rows.size()), longest}, at::kLong);
  std::int64_t* out = tokens.mutable_data_ptr<std::int64_t>();
  for (const std::vector<std::int64_t>& row : rows) {
    out = std::fill_n(out, longest - static_cast<std::int64_t>(row.size()), padding);
    out = std::copy(row.begin(), row.end(), out);
  }
  return device.is_cpu() ? tokens : tokens.to(device);
}

}  // namespace kvtransfer
