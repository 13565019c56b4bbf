#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/lazily_moved.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"

namespace kvtransfer {

/// Owns keys and values `[batch, kv_heads, capacity, head_dim]` per layer, of which the first `length` slots are in
/// use.
///
/// Two frames say where keys stand: `stored` is what the tensors hold, `target` is where the caller has asked them to
/// be. A move changes `target` alone, so any number of moves costs one rotation and its rounding, made by
/// `materialize()`. The tensors can be read only while both agree.
class cache : public detail::lazily_moved<cache> {
 public:
  static constexpr std::string_view name = "cache";  ///< As errors call it.

  /// Takes over the tensors; slots past the frame's size are spare capacity.
  /// @throws shape_error where tensors and frame disagree
  cache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values, cache_frame stored)
      : lazily_moved(stored, stored), keys_(std::move(keys)), values_(std::move(values)) {
    static_cast<void>(read_in(stored_));  // which throws where they disagree
  }

  /// Copies what `source` shows into storage of its own, of a capacity of `capacity` slots (at least those of the
  /// source).
  template <LayerLayout Layout>
  explicit cache(const cache_view<Layout>& source, std::int64_t capacity = 0)
      : lazily_moved(source.frame(), source.frame()) {
    for (std::int64_t i = 0; i < source.layers(); ++i) {
      keys_.push_back(copy_with_capacity(source.layer(i).key_storage(), capacity));
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
  [[nodiscard]] cache clone() const {
    cache copy(stored_, target_);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      copy.keys_.push_back(keys_[i].clone());
      copy.values_.push_back(values_[i].clone());
    }
    return copy;
  }

  /// Slots in use and spare in `layer`.
  [[nodiscard]] std::int64_t capacity(std::int64_t layer = 0) const { return stored_keys(layer).size(2); }
  /// Heads that hold keys and values in `layer`. @throws shape_error if there is no such layer
  [[nodiscard]] std::int64_t kv_heads(std::int64_t layer = 0) const { return stored_keys(layer).size(1); }

  /// The slots in use, to be read. @throws frame_error while a move is pending: call materialize() first
  [[nodiscard]] cache_view<> view() const {
    require_no_pending_move("cache::view");
    return read_in(stored_);
  }

  /// Moves the keys to where their target frame has them, one rotation for everything asked so far. Values are not
  /// touched. Tensors that autograd tracks are replaced by moved ones; all others are moved in place.
  void materialize(const rope::options& options = {}) {
    if (materialized()) {
      return;
    }
    detail::move_keys(keys_, stored_, target_, options);
    stored_ = target_;
  }

  /// Gives up the slots from `length` on, in every layer.
  void crop(std::int64_t length) {
    stored_ = stored_.slice(0, length);
    target_ = target_.slice(0, length);
  }

  /// Relabels the data without touching it: the one way round the checks, for reproducing other people's mistakes.
  /// The frame is marked `assumed` for good.
  /// @throws frame_error while a move is pending, shape_error where the tensors cannot be read that way
  void assume_frame(cache_frame assumed) {
    require_no_pending_move("cache::assume_frame");
    static_cast<void>(read_in(assumed));  // which throws where it does not fit
    assumed.set_assumed();
    stored_ = assumed;
    target_ = std::move(assumed);
  }

 private:
  using lazily_moved::lazily_moved;

  [[nodiscard]] const at::Tensor& stored_keys(std::int64_t layer) const {
    require_index<shape_error>(layer, layers(), "cache", "layer");
    return keys_[static_cast<std::size_t>(layer)];
  }

  void require_no_pending_move(std::string_view where) const {
    require<frame_error>(materialized(), where, "frame", "stored and target to agree (call materialize() first)",
                         "a pending move");
  }

  /// The slots that `frame` describes. @throws shape_error where the tensors do not hold them
  [[nodiscard]] cache_view<> read_in(const cache_frame& frame) const {
    const std::vector<at::Tensor> keys = in_use(keys_, frame, "keys");
    return cache_view<>(keys, in_use(values_, frame, "values"), frame);
  }

  [[nodiscard]] static std::vector<at::Tensor> in_use(const std::vector<at::Tensor>& tensors, const cache_frame& frame,
                                                      std::string_view what) {
    require_count<shape_error>(tensors.size(), frame.layers(), "cache", what, "{} layers");
    std::vector<at::Tensor> parts;
    for (std::int64_t i = 0; i < frame.layers(); ++i) {
      const at::Tensor& tensor = tensors[static_cast<std::size_t>(i)];
      const std::int64_t length = frame.layer(i).size();
      require_heads_tensor(tensor, "cache", what);
      if (tensor.size(2) < length) {
        fail<shape_error>("cache", what, fmt::format("capacity for {} slots", length), describe(tensor));
      }
      parts.push_back(tensor.slice(2, 0, length));
    }
    return parts;
  }

  [[nodiscard]] static at::Tensor copy_with_capacity(const layouts::storage& source, std::int64_t capacity) {
    const cache_extents extents = source.extents();
    const std::int64_t slots = std::max(extents.seq, capacity);
    if (slots == extents.seq) {
      return source.slots ? layouts::canonical(source, "cache") : source.blocks.clone(at::MemoryFormat::Contiguous);
    }
    at::Tensor copy = source.blocks.new_empty({extents.batch, extents.kv_heads, slots, extents.head_dim});
    copy.slice(2, 0, extents.seq).copy_(layouts::canonical(source, "cache"));
    return copy;
  }

  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
};

}  // namespace kvtransfer

namespace kvtransfer::detail {

/// A new cache in `frame` whose tensors are `change(tensor, layer)` of the source's.
/// @param change takes and gives `[batch, kv_heads, seq, head_dim]`; called for keys, then for values
template <LayerLayout Layout, class Change>
[[nodiscard]] cache rebuilt(const cache_view<Layout>& source, cache_frame frame, Change&& change) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(change(source.layer(i).keys(), i));
    values.push_back(change(source.layer(i).values(), i));
  }
  return cache(std::move(keys), std::move(values), std::move(frame));
}

}  // namespace kvtransfer::detail
