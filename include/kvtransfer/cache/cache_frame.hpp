#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/cache/layer_tokens.hpp"
#include "kvtransfer/core/alike.hpp"

namespace kvtransfer {

/// Says that tensors hold what their frame says a model wrote, the frame's origin included: for whoever has just had
/// that model write them, or has them from where this is known. Without it, nobody knows from where tensors come that a
/// caller brings.
struct as_written_t {
  explicit as_written_t() = default;
};
inline constexpr as_written_t as_written{};  ///< the one value of its type

/// The frame of a whole cache: one `layer_frame` per layer, shared between layers that agree, and where the cache came
/// from.
class cache_frame {
 public:
  using shared_layer = std::shared_ptr<const layer_frame>;  ///< One frame for all layers that agree.
  using token_rows = layer_tokens::token_rows;              ///< Ids by sequence and slot.

  cache_frame() = default;

  /// Every one of `layers` layers in the same frame.
  cache_frame(std::int64_t layers, layer_frame shared)
      : layers_(static_cast<std::size_t>(layers), std::make_shared<layer_frame>(std::move(shared))) {}

  /// One frame per layer; equal ones should be one object, so that work on them is done once.
  explicit cache_frame(std::vector<shared_layer> layers) : layers_(std::move(layers)) {}

  /// How many layers there are.
  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  /// @throws shape_error if there is no such layer
  [[nodiscard]] const layer_frame& layer(std::int64_t index) const { return *shared(index); }
  /// Likewise, with a share in it. @throws shape_error if there is no such layer
  [[nodiscard]] const shared_layer& shared(std::int64_t index) const;

  /// Whether two layers are in one frame that they share.
  [[nodiscard]] bool layers_share(std::size_t a, std::size_t b) const { return layers_[a] == layers_[b]; }

  /// Applies `change(layer_frame) -> layer_frame`; layers that shared their frame still do, and `change` runs once for
  /// them.
  template <class Change>
  [[nodiscard]] cache_frame transform(Change&& change) const {
    return with_layers(make_for_alike(
        layers_.size(), [&](std::size_t a, std::size_t b) { return layers_share(a, b); },
        [&](std::size_t i) { return shared_layer(std::make_shared<layer_frame>(change(*layers_[i]))); }));
  }

  /// The same origin with other layer frames. @throws shape_error unless their number is the same
  [[nodiscard]] cache_frame with_layers(std::vector<shared_layer> changed) const;

  /// The frame of one layer, of the same origin.
  /// @throws shape_error if there is no such layer
  [[nodiscard]] cache_frame of_layer(std::int64_t index) const;

  /// Joins two frames layer by layer with `join(mine, theirs)`; pairs that were shared on both sides stay shared.
  template <class Join>
  [[nodiscard]] cache_frame combine(const cache_frame& other, Join&& join) const {
    require_layers(other.layers());
    return with_layers(make_for_alike(
        layers_.size(), [&](std::size_t a, std::size_t b) { return layers_share(a, b) && other.layers_share(a, b); },
        [&](std::size_t i) {
          return shared_layer(std::make_shared<layer_frame>(join(*layers_[i], *other.layers_[i])));
        }));
  }

  /// The slots [begin, end) of every layer and of the text. @throws shape_error unless every layer has them
  [[nodiscard]] cache_frame slice(std::int64_t begin, std::int64_t end) const;

  /// The sequences named, in that order (one may be named more than once).
  [[nodiscard]] cache_frame select_batch(const std::vector<std::int64_t>& sequences) const;

  /// This cache's slots followed by `other`'s. Token ids and model survive only where both sides know theirs and agree.
  [[nodiscard]] cache_frame followed_by(const cache_frame& other) const;

  /// The same after `check(mine, theirs)` for every layer, which throws where the two must not meet.
  template <class Check>
  [[nodiscard]] cache_frame followed_by(const cache_frame& other, Check&& check) const {
    cache_frame joined = *this;
    joined.append(other, check);
    return joined;
  }

  /// Puts `tail`'s slots behind these, as `followed_by` does. What that costs does not depend on how many these are, as
  /// long as nobody else holds this frame's layers or text; then they are copied, once.
  /// @throws what `check` and `layer_frame::append` throw, and then nothing has changed
  void append(const cache_frame& tail);
  /// Likewise, after `check(mine, theirs)` for every pair of layers.
  template <class Check>
  void append(const cache_frame& tail, Check&& check) {
    require_layers(tail.layers());
    const auto pairs = alike_groups(
        layers_.size(), [&](std::size_t a, std::size_t b) { return layers_share(a, b) && tail.layers_share(a, b); });
    for (const std::vector<std::size_t>& pair : pairs) {
      check(*layers_[pair.front()], *tail.layers_[pair.front()]);
      layers_[pair.front()]->positions.require_joinable(tail.layers_[pair.front()]->positions);
    }
    origin_ = is_empty() ? tail.origin_ : origin_.joined_with(tail.origin_);
    assumed_ = assumed_ || tail.assumed_;
    append_edits(tail.edits_);
    growing_.resize(layers_.size());
    for (const std::vector<std::size_t>& pair : pairs) {
      const shared_layer theirs = tail.layers_[pair.front()];  // which may be one of these layers
      grown(pair)->append(*theirs);
    }
    tokens_.append(tail.tokens_);
  }

  /// True where no layer has a slot.
  [[nodiscard]] bool is_empty() const;

  /// One past the largest position in any layer: where text that follows would begin.
  [[nodiscard]] std::int64_t next_position() const;

  /// The token of every slot `[batch][seq]`, -1 for padding: what every layer holds; empty where layers hold different
  /// tokens, or one's are not known.
  [[nodiscard]] const token_rows& token_ids() const { return tokens_.common(); }
  /// That of every slot of one layer; empty where it is not known. @throws shape_error if there is no such layer
  [[nodiscard]] const token_rows& token_ids(std::int64_t layer) const;
  /// Those of all layers.
  [[nodiscard]] const layer_tokens& tokens() const { return tokens_; }
  /// Names the tokens, the same in every layer, or none where `rows` is empty.
  /// @throws shape_error unless there is one id per slot of every layer
  void set_token_ids(token_rows rows);
  /// Names each layer's own. @throws shape_error unless there is one id per slot
  void set_tokens(layer_tokens tokens);

  /// The model that wrote the keys, as far as it is known.
  [[nodiscard]] const model_identity& model() const { return origin_.model(); }
  /// That model, and why the cache is taken for one of its.
  [[nodiscard]] const cache_origin& origin() const { return origin_; }
  /// Names the model, or none. To take a cache for another model's, see `assume_same_weights`, `assume_unknown_origin`.
  void set_origin(cache_origin origin) { origin_ = std::move(origin); }

  /// True once somebody relabelled this data by `assume_frame`: results made with it must say so.
  [[nodiscard]] bool assumed() const { return assumed_; }
  /// Marks the frame for good: no call takes the mark off.
  void set_assumed() { assumed_ = true; }

  /// The same of tensors that nobody can say a model wrote so.
  cache_frame without_origin() &&;

  /// What was done to the numbers since a model wrote them, in the order in which it was done.
  [[nodiscard]] const std::vector<cache_edit>& edits() const { return edits_; }
  /// Takes note of a change, its layers, heads and slots put in order. @throws shape_error unless its layers are there
  /// and its slots in the longest of them
  void add_edit(cache_edit edit);
  /// Replaces the whole list: for those who keep a frame elsewhere, in a file, or choose among its slots.
  /// @throws shape_error as `add_edit`
  void set_edits(std::vector<cache_edit> edits);

  /// The most that any layer counts of `layer_frame::roundings`.
  [[nodiscard]] std::int64_t roundings() const;
  /// How far rounding may have taken the keys from where they would stand exactly, in units of what one move in place
  /// costs at most: each adds its own, and they may all point one way.
  [[nodiscard]] double rounding_bound() const { return static_cast<double>(roundings()); }
  /// This frame of keys that were rounded `count` times, in every layer.
  [[nodiscard]] cache_frame with_roundings(std::int64_t count) const;

  /// Frames that share layers and text are told apart, or not, without reading either.
  friend bool operator==(const cache_frame& a, const cache_frame& b) {
    return a.origin_ == b.origin_ && a.assumed_ == b.assumed_ && a.edits_ == b.edits_ && a.has_layers_of(b) &&
           a.tokens_ == b.tokens_;
  }

  /// Whether every layer's keys stand where those of `other` do, wherever the caches come from.
  [[nodiscard]] bool has_layers_of(const cache_frame& other) const;

 private:
  void require_layers(std::int64_t count) const;

  [[nodiscard]] std::vector<std::int64_t> all_layers() const;

  /// @param tail those of the frame behind, whose layers are not appended yet
  void append_edits(const std::vector<cache_edit>& tail);

  /// The layer of `indices`, for them alone: a copy unless `append` has made one before that nobody else has taken.
  layer_frame* grown(const std::vector<std::size_t>& indices);

  std::vector<shared_layer> layers_;
  std::vector<layer_frame*> growing_;  // those of the layers that `append` made, and so may change; null for others
  layer_tokens tokens_;
  std::vector<cache_edit> edits_;
  cache_origin origin_;
  bool assumed_ = false;
};

namespace detail {

/// Where a cache's numbers come from, as the origin of an edit says it.
std::string origin_text(const cache_frame& frame);

}  // namespace detail

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/cache_frame.ipp"  // IWYU pragma: export
#endif
