#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/lazily_moved.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/tensor/layouts.hpp"

namespace kvtransfer {

/// Keys and values that belong to somebody else, in any layout, with a frame of its own.
///
/// Whoever owns the tensors reads them at any time, so every move is carried out at once, in place and without
/// gathering; many small moves then cost a rounding each, which a `cache` avoids. The frame changes once the move has
/// succeeded. Values, padding and slots that the layout does not name are never touched.
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class borrowed_cache {
 public:
  /// @param keys one tensor per layer in `Layout`'s order
  /// @param values likewise
  /// @throws as `cache_view`
  borrowed_cache(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
                 Layout layout = {})
      : borrowed_cache(cache_view<Layout>(keys, values, std::move(frame), std::move(layout))) {}

  /// Takes over the tensors that `view` shows, in its frame.
  explicit borrowed_cache(const cache_view<Layout>& view) : frame_(view.frame()), view_(view) {
    for (std::int64_t i = 0; i < view.layers(); ++i) {
      keys_.push_back(view.layer(i).key_storage());
    }
  }

  /// The tensors with the frame that they are in now.
  cache_view<Layout> view() const { return view_.with_frame(frame_); }
  /// Where the keys stand now.
  [[nodiscard]] const cache_frame& frame() const { return frame_; }

  /// Moves every key `delta` tokens on. @throws as `rope::rotate_keys_`, and then nothing has moved
  void shift(std::int64_t delta, const rope::options& options = {}) {
    move_to(detail::shifted(frame_, delta), options);
  }

  /// Moves the keys of every layer to `positions`, slot by slot; which slots are padding stays as it is.
  /// @throws shape_error unless slots, rows, streams and heads fit, and every key has a position
  /// @throws frame_error where sequences share keys and would move them differently
  void remap(const position_map& positions, const rope::options& options = {}) {
    for (const layouts::storage& keys : keys_) {
      detail::require_heads(positions, keys.blocks.size(1), "borrowed_cache::remap");
    }
    move_to(detail::remapped(frame_, positions, "borrowed_cache::remap"), options);
  }

  /// Takes the rotation off every key; positions stay known. @throws frame_error if a key was never rotated
  void unrotate(const rope::options& options = {}) {
    move_to(detail::unrotated(frame_, "borrowed_cache::unrotate"), options);
  }

  /// Rotates never-rotated keys to their positions by each layer's `specifications`.
  /// @throws frame_error if a key is rotated already
  void rotate(const std::vector<rotary_specification>& specifications, const rope::options& options = {}) {
    move_to(detail::rotated(frame_, specifications, "borrowed_cache::rotate"), options);
  }

  /// Rotates rotated keys into what each layer's `specifications` would have written at their positions.
  /// @throws frame_error if a key was never rotated
  void reframe(const std::vector<rotary_specification>& specifications, const rope::options& options = {}) {
    move_to(detail::reframed(frame_, specifications, "borrowed_cache::reframe"), options);
  }

  /// Relabels the keys without touching them; the frame is marked `assumed` for good. For reproducing other people's
  /// mistakes.
  /// @throws as `cache_view`
  void assume_frame(cache_frame assumed) {
    view_ = view_.with_frame(assumed);
    assumed.set_assumed();
    frame_ = std::move(assumed);
  }

 private:
  void move_to(cache_frame target, const rope::options& options) {
    for (const layouts::storage& layer : keys_) {
      require<value_error>(!layer.blocks.requires_grad(), "borrowed_cache", "keys", "no gradient for a move in place",
                           "requires_grad");
    }
    detail::move_keys(keys_, frame_, target, options);
    frame_ = std::move(target);
  }

  std::vector<layouts::storage> keys_;
  cache_frame frame_;
  cache_view<Layout> view_;  // its frame is that of the last check, of which moves change positions and states alone
};

}  // namespace kvtransfer
