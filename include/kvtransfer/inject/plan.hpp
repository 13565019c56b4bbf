#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/position_map.hpp"

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
  [[nodiscard]] segment shown_to(std::int64_t batch) const;

 private:
  layer_view<> kv_;
  cache_frame origin_;
  std::int64_t layer_;
};

namespace detail {

/// Takes note of an edit in one layer; layers that an edit concerns alike stay in one.
void add_in_layer(std::vector<cache_edit>& edits, cache_edit edit, std::int64_t layer);

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
  [[nodiscard]] std::int64_t injected(std::int64_t layer) const;

  /// What is injected in front of the tokens in `layer`, left to right. @throws shape_error if there is no such layer
  [[nodiscard]] const std::vector<segment>& segments(std::int64_t layer) const&;
  /// The same of a plan that is about to go: segments that outlive it. @throws as above
  [[nodiscard]] std::vector<segment> segments(std::int64_t layer) && { return std::as_const(*this).segments(layer); }

  /// What was done to the numbers of what is injected, told by the plan's layers and by the slots in front of its
  /// tokens.
  [[nodiscard]] std::vector<cache_edit> edits() const;

  /// Whether the frame of anything injected was set by `assume_frame`: results must say so.
  [[nodiscard]] bool assumed() const;

  /// Why what is injected is taken for the model's: the weakest reason of its segments.
  [[nodiscard]] origin_basis basis() const;
};

namespace detail {

std::int64_t longest_row(const std::vector<std::vector<std::int64_t>>& rows, std::string_view where);

/// `row` behind as many padding slots as it takes to reach `size`.
position_row padded_left(const position_row& row, std::int64_t size);

}  // namespace detail

/// A plan that injects nothing: every row at positions 0, 1, …
/// @throws shape_error for an empty row
plan plan_of(std::vector<std::vector<std::int64_t>> token_ids);

/// The tokens of `rows` as int64 `[batch, longest]`, padded on the left with `padding`.
at::Tensor token_tensor(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t padding, at::Device device);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/plan.ipp"  // IWYU pragma: export
#endif
