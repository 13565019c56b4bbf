#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/key_moves.hpp"
#include "kvtransfer/rope/options.hpp"

namespace kvtransfer::detail {
struct cache_access;
}

namespace kvtransfer {

/// Owns keys and values `[batch, kv_heads, capacity, head_dim]` per layer, of which the first `length` slots are in
/// use.
///
/// Two frames say where keys stand: `stored` is what the tensors hold, `target` is where the caller has asked them to
/// be. A move changes `target` alone, so any number of moves costs one rotation and its rounding. Whoever reads a
/// `view()` meanwhile gets keys rotated as they are read, and whatever chooses among slots, rows, heads or layers hands
/// the move on: a cache that is read and evicted from a thousand times has moved its keys not once. `materialize()`
/// moves them where they lie, for those who must have them there; every time rounds them once more, which the frame
/// counts (`cache_frame::roundings`).
class cache : public key_moves<cache> {
 public:
  static constexpr std::string_view name = "cache";  ///< As errors call it.

  /// Takes over tensors that a caller brings; slots past the frame's size are spare capacity. Nobody has said that a
  /// model wrote them so, therefore the frame's origin is forgotten: give `as_written` where it is known, and use
  /// `edited` for what was made of another cache.
  /// @throws shape_error where tensors and frame disagree
  cache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values, cache_frame stored)
      : cache(std::move(keys), std::move(values), std::move(stored).without_origin(), as_written) {}

  /// Takes over tensors that hold what `stored` says a model wrote. @throws as above
  cache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values, cache_frame stored, as_written_t)
      : cache(std::move(keys), std::move(values), detail::moving_frames::settled(std::move(stored))) {}

  /// Copies what `source` shows into storage of its own, of a capacity of `capacity` slots (at least those of the
  /// source). A move that is pending stays so.
  template <LayerLayout Layout>
  explicit cache(const cache_view<Layout>& source, std::int64_t capacity = 0)
      : cache(detail::view_access::frames(source)) {
    for (std::int64_t i = 0; i < source.layers(); ++i) {
      keys_.push_back(copy_with_capacity(detail::view_access::key_storage(source.layer(i)), capacity));
      values_.push_back(copy_with_capacity(source.layer(i).value_storage(), capacity));
    }
  }

  /// Leaves nothing behind that may be read.
  cache(cache&&) = default;
  /// Leaves nothing behind that may be read.
  cache& operator=(cache&&) = default;
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;

  /// A copy with storage of its own, its pending moves included.
  [[nodiscard]] cache clone() const;

  /// Slots in use and spare in `layer`.
  [[nodiscard]] std::int64_t capacity(std::int64_t layer = 0) const { return stored_keys(layer).size(2); }
  /// Heads that hold keys and values in `layer`. @throws shape_error if there is no such layer
  [[nodiscard]] std::int64_t kv_heads(std::int64_t layer = 0) const { return stored_keys(layer).size(1); }

  /// The slots in use, to be read where the target frame says. While a move is pending, the view's `keys()` are copies,
  /// rotated once; the tensors themselves can be read only when it is made.
  /// @throws frame_error where this library has moved the tensors through another owner or view
  [[nodiscard]] cache_view<> view() const;

  /// Moves the keys to where their target frame has them, one rotation for everything asked so far. Values are not
  /// touched. Tensors that autograd tracks are replaced by moved ones; all others are moved in place.
  void materialize(const rope::options& options = {});

  /// Gives up the slots from `length` on, in every layer.
  void crop(std::int64_t length);

  /// Relabels the data without touching it: the one way round the checks, for reproducing other people's mistakes.
  /// The frame is marked `assumed` for good.
  /// @throws frame_error while a move is pending, shape_error where the tensors cannot be read that way
  void assume_frame(cache_frame assumed);

 private:
  friend struct detail::cache_access;

  explicit cache(const detail::moving_frames& frames)
      : key_moves(frames.stored, frames.target), known_(memory_changes::instance().last()) {}

  cache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values, const detail::moving_frames& frames);

  /// Both frames, as a view needs them.
  [[nodiscard]] detail::moving_frames frames() const;

  /// A `key_mover`. Tensors that autograd tracks are moved out of place.
  [[nodiscard]] static at::Tensor moved_copy(const at::Tensor& keys, const cache_frame::shared_layer& stored,
                                             const cache_frame::shared_layer& target);

  /// @throws frame_error where somebody else has moved the tensors
  void require_unchanged(std::string_view where) const;

  [[nodiscard]] const at::Tensor& stored_keys(std::int64_t layer) const;

  /// The slots that the frames describe. @throws shape_error where the tensors do not hold them
  [[nodiscard]] cache_view<> read_in(detail::moving_frames frames) const;

  [[nodiscard]] static std::vector<at::Tensor> in_use(const std::vector<at::Tensor>& tensors, const cache_frame& frame,
                                                      std::string_view what);

  [[nodiscard]] static at::Tensor copy_with_capacity(const layouts::storage& source, std::int64_t capacity);

  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
  std::uint64_t known_;  // the last change of memory when the tensors were known to be as `stored_` says
};

}  // namespace kvtransfer

namespace kvtransfer::detail {

/// What operations of this library may do with caches: make one with a move pending.
struct cache_access {
  /// @param keys as they lie in memory, in the stored frame
  [[nodiscard]] static cache of(std::vector<at::Tensor> keys, std::vector<at::Tensor> values,
                                const moving_frames& frames);
};

/// A new cache in `frames` whose tensors are `change(tensor, layer)` of the source's, keys as they are stored: for
/// choices that go with any move that is pending.
/// @param change takes and gives `[batch, kv_heads, seq, head_dim]`; called for keys, then for values
template <LayerLayout Layout, class Change>
[[nodiscard]] cache rebuilt(const cache_view<Layout>& source, const moving_frames& frames, Change&& change) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(change(view_access::canonical_keys(source.layer(i)), i));
    values.push_back(change(source.layer(i).values(), i));
  }
  return cache_access::of(std::move(keys), std::move(values), frames);
}

/// The same in `frame` of keys where the source's frame says they are, rotated first where a move is pending.
template <LayerLayout Layout, class Change>
[[nodiscard]] cache rebuilt(const cache_view<Layout>& source, cache_frame frame, Change&& change) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(change(source.layer(i).keys(), i));
    values.push_back(change(source.layer(i).values(), i));
  }
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/cache.ipp"  // IWYU pragma: export
#endif
