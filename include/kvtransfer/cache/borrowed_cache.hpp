#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/tensor/layouts.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

/// Keys and values that belong to somebody else, in any layout, with a frame of its own.
///
/// Whoever owns the tensors reads them at any time, so every move is carried out at once, in place and without
/// gathering; many small moves then cost a rounding each, which a `cache` avoids. The frame changes once the move has
/// succeeded. Values, padding and slots that the layout does not name are never touched. Who has to move in place again
/// and again keeps keys without rotation instead: `unrotate()` once, and rotate what is read; the frame counts the
/// roundings otherwise (`cache_frame::roundings`).
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class borrowed_cache {
 public:
  /// @param keys one tensor per layer in `Layout`'s order
  /// @param values likewise
  /// @throws as `cache_view`, whose constructors say what becomes of the frame's origin
  borrowed_cache(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
                 Layout layout = {})
      : borrowed_cache(cache_view<Layout>(keys, values, std::move(frame), std::move(layout))) {}
  /// The same of tensors that hold what `frame` says a model wrote.
  borrowed_cache(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
                 as_written_t, Layout layout = {})
      : borrowed_cache(cache_view<Layout>(keys, values, std::move(frame), as_written, std::move(layout))) {}

  /// The tensors that a view shows. Other views of them, and other owners, find out about moves made here.
  /// @throws frame_error where the view has a move pending
  explicit borrowed_cache(const cache_view<Layout>& view)
      : frame_(view.frame()), layout_(view.layout()), known_(memory_changes::instance().last()) {
    for (std::int64_t i = 0; i < view.layers(); ++i) {
      keys_.push_back(view.layer(i).stored_keys());
      values_.push_back(view.layer(i).stored_values());
      storage_.push_back(view.layer(i).key_storage());
    }
  }

  /// The tensors with the frame that they are in now.
  /// @throws frame_error where this library has moved them through another owner or view
  [[nodiscard]] cache_view<Layout> view() const {
    require_unchanged("borrowed_cache::view");
    return detail::view_access::view(keys_, values_, detail::moving_frames::settled(frame_), layout_);
  }
  /// Where the keys stand now.
  [[nodiscard]] const cache_frame& frame() const { return frame_; }

  /// Moves every key `delta` tokens on. @throws as `rope::rotate_keys_`, and then nothing has moved
  void shift(std::int64_t delta, const rope::options& options = {}) {
    move_to(detail::shifted(frame_, delta), options, "borrowed_cache::shift");
  }

  /// Moves the keys of every layer to `positions`, slot by slot; which slots are padding stays as it is.
  /// @throws shape_error unless slots, rows, streams and heads fit, and every key has a position
  /// @throws frame_error where sequences share keys and would move them differently
  void remap(const position_map& positions, const rope::options& options = {}) {
    for (const layouts::storage& keys : storage_) {
      detail::require_heads(positions, keys.blocks.size(1), "borrowed_cache::remap");
    }
    move_to(detail::remapped(frame_, positions, "borrowed_cache::remap"), options, "borrowed_cache::remap");
  }

  /// Moves the keys of every row and head side by side, in the order of their slots, from position `first` on.
  /// @throws frame_error for keys of several streams
  void close_gaps(std::int64_t first = 0, const rope::options& options = {}) {
    move_to(detail::without_gaps(frame_, first, "borrowed_cache::close_gaps"), options, "borrowed_cache::close_gaps");
  }

  /// Takes the rotation off every key; positions stay known. @throws frame_error if a key was never rotated
  void unrotate(const rope::options& options = {}) {
    move_to(detail::unrotated(frame_, "borrowed_cache::unrotate"), options, "borrowed_cache::unrotate");
  }

  /// Rotates never-rotated keys to their positions by each layer's `specifications`.
  /// @throws frame_error if a key is rotated already
  void rotate(const std::vector<rotary_specification>& specifications, const rope::options& options = {}) {
    move_to(detail::rotated(frame_, specifications, "borrowed_cache::rotate"), options, "borrowed_cache::rotate");
  }

  /// Rotates rotated keys into what each layer's `specifications` would have written at their positions.
  /// @throws frame_error if a key was never rotated
  void reframe(const std::vector<rotary_specification>& specifications, const rope::options& options = {}) {
    move_to(detail::reframed(frame_, specifications, "borrowed_cache::reframe"), options, "borrowed_cache::reframe");
  }

  /// Relabels the keys without touching them; the frame is marked `assumed` for good. For reproducing other people's
  /// mistakes.
  /// @throws as `cache_view`
  void assume_frame(cache_frame assumed) {
    require_unchanged("borrowed_cache::assume_frame");
    assumed.set_assumed();
    detail::view_access::view(keys_, values_, detail::moving_frames::settled(assumed), layout_);
    frame_ = std::move(assumed);
  }

 private:
  void move_to(const cache_frame& target, const rope::options& options, std::string_view where) {
    require_unchanged(where);
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::size_t i = 0; i < storage_.size(); ++i) {
      require<value_error>(!keys_[i].requires_grad(), "borrowed_cache", "keys", "no gradient for a move in place",
                           "requires_grad");
      keys.push_back(storage_[i].blocks);
      values.push_back(layouts::lower(layouts::values_of(layout_), values_[i], "borrowed_cache", "values").blocks);
    }
    detail::require_values_apart(keys, values, frame_, target, where);
    std::vector<layouts::storage> moved;
    for (std::size_t i = 0; i < storage_.size(); ++i) {
      const auto layer = static_cast<std::int64_t>(i);
      if (!(frame_.layer(layer) == target.layer(layer))) {
        moved.push_back(storage_[i]);
      }
    }
    std::vector<memory_range> memory = detail::memory_of(std::move(moved));
    detail::move_keys(storage_, frame_, target, options);
    frame_ = detail::rounded(frame_, target);
    known_ = memory_changes::instance().note(std::move(memory), where);
  }

  /// @throws frame_error where somebody else has moved the tensors with this library
  void require_unchanged(std::string_view where) const {
    detail::require_unchanged(known_, keys_, [&] { return detail::memory_of(storage_); }, where);
  }

  std::vector<at::Tensor> keys_;  // in the layout's order, as `values_`
  std::vector<at::Tensor> values_;
  std::vector<layouts::storage> storage_;  // of the keys
  cache_frame frame_;
  Layout layout_;
  std::uint64_t known_;  // the last change of memory when the keys were known to be as `frame_` says
};

}  // namespace kvtransfer
