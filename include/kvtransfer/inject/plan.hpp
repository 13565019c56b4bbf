#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

/// Keys and values of one layer that a query may attend to besides the plan's own tokens, and where they come from.
/// What it is made of stays together: keys cannot be given another origin or another layer's place unseen.
class segment {
 public:
  /// One layer of `source`, without a copy.
  /// @param shown bool `[batch, kv_heads or 1, seq]`: which slots a query sees. Undefined: every one that is not
  ///        padding.
  /// @throws shape_error if there is no such layer
  segment(const cache_view<>& source, std::int64_t layer, at::Tensor shown = {})
      : visible(std::move(shown)), kv_(source.layer(layer)), origin_(source.frame().of_layer(layer)), layer_(layer) {}

  at::Tensor visible;  ///< what hides slots; what it hides is padding in the cache that the plan leaves

  /// Non-owning.
  [[nodiscard]] const layer_view<>& kv() const& { return kv_; }
  /// The same of a segment that is about to go, which outlives it.
  [[nodiscard]] layer_view<> kv() && { return std::move(kv_); }
  /// That layer's frame alone: whose keys these are, and of which tokens, as far as is known.
  [[nodiscard]] const cache_frame& origin() const& { return origin_; }
  /// The same of a segment that is about to go, which outlives it.
  [[nodiscard]] cache_frame origin() && { return std::move(origin_); }
  /// The layer of its cache that it was made of. A model reads it there, and nowhere else unless its frame is assumed.
  [[nodiscard]] std::int64_t layer() const { return layer_; }

  /// The same of one sequence shown as each of `batch`, without a copy; a move that is pending is made.
  /// @throws shape_error unless it has one sequence, and `batch` is positive
  [[nodiscard]] segment shown_to(std::int64_t batch) const {
    const cache_view<> alone({kv_.keys()}, {kv_.values()}, origin_, as_written);
    segment all(expand_rows(alone, batch), 0, visible.defined() ? visible.expand({batch, -1, -1}) : visible);
    all.layer_ = layer_;
    return all;
  }

 private:
  layer_view<> kv_;
  cache_frame origin_;
  std::int64_t layer_;
};

namespace detail {

/// Takes note of an edit in one layer; layers that an edit concerns alike stay in one.
inline void add_in_layer(std::vector<cache_edit>& edits, cache_edit edit, std::int64_t layer) {
  const auto alike = std::ranges::find_if(edits, [&](const cache_edit& known) {
    edit.layers = known.layers;
    return known == edit;
  });
  if (alike == edits.end()) {
    edit.layers = {layer};
    edits.push_back(std::move(edit));
  } else if (alike->layers.back() != layer) {
    alike->layers.push_back(layer);
  }
}

}  // namespace detail

/// What a model runs: tokens with their positions, and per layer the keys that came from elsewhere.
///
/// Rows of unequal length are aligned at their right end; the slots in front are padding in `positions`. Masks are
/// derived from this by whoever runs it (a token sees the visible keys of every segment, and its own row up to itself).
struct plan {
  std::vector<std::vector<std::int64_t>> token_ids;  ///< one row per text, never empty
  position_map positions;                            ///< `[streams, batch, 1, longest row]`
  /// `[layer][segment]`, each layer with segments of its own, or none; no layers at all where nothing is injected.
  std::vector<std::vector<segment>> layers;

  /// Sequences.
  [[nodiscard]] std::int64_t batch() const { return static_cast<std::int64_t>(token_ids.size()); }
  /// Tokens in the longest row.
  [[nodiscard]] std::int64_t size() const { return positions.size(); }

  /// Injected slots in front of the tokens in `layer`. @throws shape_error if there is no such layer
  [[nodiscard]] std::int64_t injected(std::int64_t layer) const {
    std::int64_t slots = 0;
    for (const segment& part : segments(layer)) {
      slots += part.kv().size();
    }
    return slots;
  }

  /// What is injected in front of the tokens in `layer`, left to right. @throws shape_error if there is no such layer
  [[nodiscard]] const std::vector<segment>& segments(std::int64_t layer) const& {
    static const std::vector<segment> none;
    if (layers.empty()) {
      return none;
    }
    require_index<shape_error>(layer, static_cast<std::int64_t>(layers.size()), "plan", "layer");
    return layers[static_cast<std::size_t>(layer)];
  }
  /// The same of a plan that is about to go: segments that outlive it. @throws as above
  [[nodiscard]] std::vector<segment> segments(std::int64_t layer) && { return std::as_const(*this).segments(layer); }

  /// What was done to the numbers of what is injected, told by the plan's layers and by the slots in front of its
  /// tokens.
  [[nodiscard]] std::vector<cache_edit> edits() const {
    std::vector<cache_edit> all;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      std::int64_t offset = 0;
      for (const segment& part : layers[layer]) {
        for (cache_edit edit : part.origin().edits()) {
          for (slot_range& range : edit.slots) {
            range.begin += offset;
          }
          detail::add_in_layer(all, std::move(edit), static_cast<std::int64_t>(layer));
        }
        offset += part.kv().size();
      }
    }
    return all;
  }

  /// Whether the frame of anything injected was set by `assume_frame`: results must say so.
  [[nodiscard]] bool assumed() const {
    return std::ranges::any_of(layers, [](const std::vector<segment>& parts) {
      return std::ranges::any_of(parts, [](const segment& part) { return part.origin().assumed(); });
    });
  }

  /// Why what is injected is taken for the model's: the weakest reason of its segments.
  [[nodiscard]] origin_basis basis() const {
    origin_basis weakest = origin_basis::recorded;
    for (const std::vector<segment>& parts : layers) {
      for (const segment& part : parts) {
        weakest = std::max(weakest, part.origin().origin().basis());
      }
    }
    return weakest;
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
  return {std::move(token_ids), position_map(1, batch, 1, std::move(rows)), {}};
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
