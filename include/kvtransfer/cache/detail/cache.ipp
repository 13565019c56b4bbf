#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE cache cache::clone() const {
  require_unchanged("cache::clone");
  cache copy(detail::moving_frames{stored_, target_, nullptr});
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    copy.keys_.push_back(keys_[i].clone());
    copy.values_.push_back(values_[i].clone());
  }
  return copy;
}

KVTRANSFER_INLINE cache_view<> cache::view() const {
  require_unchanged("cache::view");
  return read_in(frames());
}

KVTRANSFER_INLINE void cache::materialize(const rope::options& options) {
  if (materialized()) {
    return;
  }
  require_unchanged("cache::materialize");
  detail::require_values_apart(keys_, values_, stored_, target_, "cache::materialize");
  const std::vector<at::Tensor> before = keys_;
  detail::move_keys(keys_, stored_, target_, options);
  std::vector<memory_range> moved;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    if (keys_[i].is_same(before[i]) && !(stored_.layer(layer) == target_.layer(layer))) {
      moved.push_back(detail::memory_of(keys_[i]));
    }
  }
  target_ = detail::rounded(stored_, target_);
  stored_ = target_;
  known_ = memory_changes::instance().note(std::move(moved), "cache::materialize");
}

KVTRANSFER_INLINE void cache::crop(std::int64_t length) {
  stored_ = stored_.slice(0, length);
  target_ = target_.slice(0, length);
}

KVTRANSFER_INLINE void cache::assume_frame(cache_frame assumed) {
  require<frame_error>(materialized(), "cache::assume_frame", "frame",
                       "stored and target to agree (call materialize() first)", "a pending move");
  require_unchanged("cache::assume_frame");
  assumed.set_assumed();
  static_cast<void>(read_in(detail::moving_frames::settled(assumed)));  // which throws where it does not fit
  stored_ = assumed;
  target_ = std::move(assumed);
}

KVTRANSFER_INLINE cache::cache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values,
                               const detail::moving_frames& frames)
    : cache(frames) {
  keys_ = std::move(keys);
  values_ = std::move(values);
  static_cast<void>(read_in(this->frames()));  // which throws where they disagree
}

KVTRANSFER_INLINE detail::moving_frames cache::frames() const {
  if (materialized()) {
    return detail::moving_frames::settled(stored_);
  }
  return {stored_, detail::rounded(stored_, target_), &moved_copy};
}

KVTRANSFER_INLINE at::Tensor cache::moved_copy(const at::Tensor& keys, const cache_frame::shared_layer& stored,
                                               const cache_frame::shared_layer& target) {
  std::vector<at::Tensor> copy{keys.requires_grad() ? keys : keys.clone(at::MemoryFormat::Contiguous)};
  detail::move_keys(copy, cache_frame({stored}), cache_frame({target}), {}, "cache::view");
  return copy.front();
}

KVTRANSFER_INLINE void cache::require_unchanged(std::string_view where) const {
  detail::require_unchanged(
      known_,
      [&] {
        std::vector<memory_range> all = detail::memory_of(keys_);
        for (const memory_range& range : detail::memory_of(values_)) {
          all.push_back(range);
        }
        return all;
      },
      where);
}

KVTRANSFER_INLINE const at::Tensor& cache::stored_keys(std::int64_t layer) const {
  require_index<shape_error>(layer, layers(), "cache", "layer");
  return keys_[static_cast<std::size_t>(layer)];
}

KVTRANSFER_INLINE cache_view<> cache::read_in(detail::moving_frames frames) const {
  const std::vector<at::Tensor> keys = in_use(keys_, frames.target, "keys");
  const std::vector<at::Tensor> values = in_use(values_, frames.target, "values");
  return detail::view_access::view(keys, values, std::move(frames), layouts::batch_heads_seq_dim());
}

KVTRANSFER_INLINE std::vector<at::Tensor> cache::in_use(const std::vector<at::Tensor>& tensors,
                                                        const cache_frame& frame, std::string_view what) {
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

KVTRANSFER_INLINE at::Tensor cache::copy_with_capacity(const layouts::storage& source, std::int64_t capacity) {
  const cache_extents extents = source.extents();
  const std::int64_t slots = std::max(extents.seq, capacity);
  if (slots == extents.seq) {
    return source.slots ? layouts::canonical(source, "cache") : source.blocks.clone(at::MemoryFormat::Contiguous);
  }
  at::Tensor copy = source.blocks.new_empty({extents.batch, extents.kv_heads, slots, extents.head_dim});
  copy.slice(2, 0, extents.seq).copy_(layouts::canonical(source, "cache"));
  return copy;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE cache cache_access::of(std::vector<at::Tensor> keys, std::vector<at::Tensor> values,
                                         const moving_frames& frames) {
  return cache(std::move(keys), std::move(values), frames);
}

}  // namespace kvtransfer::detail
