#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/edit_slots.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/cache/layer_tokens.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE const cache_frame::shared_layer& cache_frame::shared(std::int64_t index) const {
  require_index<shape_error>(index, layers(), "cache_frame", "layer");
  return layers_[static_cast<std::size_t>(index)];
}

KVTRANSFER_INLINE cache_frame cache_frame::with_layers(std::vector<shared_layer> changed) const {
  require_layers(static_cast<std::int64_t>(changed.size()));
  cache_frame result;
  result.layers_ = std::move(changed);
  result.tokens_ = tokens_;
  result.origin_ = origin_;
  result.assumed_ = assumed_;
  result.edits_ = edits_;
  return result;
}

KVTRANSFER_INLINE cache_frame cache_frame::of_layer(std::int64_t index) const {
  cache_frame one({shared(index)});
  one.origin_ = origin_;
  one.assumed_ = assumed_;
  one.edits_ = detail::edits_of_items(edits_, &cache_edit::layers, {index});
  one.tokens_ = tokens_.select({index});
  return one;
}

KVTRANSFER_INLINE cache_frame cache_frame::slice(std::int64_t begin, std::int64_t end) const {
  cache_frame part = transform([=](const layer_frame& layer) { return layer.slice(begin, end); });
  part.tokens_ = tokens_.transform([=](const token_rows& rows) {
    token_rows ids;
    for (const std::vector<std::int64_t>& row : rows) {
      ids.emplace_back(row.begin() + begin, row.begin() + end);
    }
    return ids;
  });
  part.edits_ = detail::edits_of_slots(edits_, begin, end);
  return part;
}

KVTRANSFER_INLINE cache_frame cache_frame::select_batch(const std::vector<std::int64_t>& sequences) const {
  cache_frame picked = transform([&](const layer_frame& layer) { return layer.select_batch(sequences); });
  picked.tokens_ = tokens_.transform([&](const token_rows& rows) {
    token_rows ids;
    for (const std::int64_t sequence : sequences) {
      ids.push_back(rows[static_cast<std::size_t>(sequence)]);
    }
    return ids;
  });
  return picked;
}

KVTRANSFER_INLINE cache_frame cache_frame::followed_by(const cache_frame& other) const {
  return followed_by(other, [](const layer_frame&, const layer_frame&) {});
}

KVTRANSFER_INLINE void cache_frame::append(const cache_frame& tail) {
  append(tail, [](const layer_frame&, const layer_frame&) {});
}

KVTRANSFER_INLINE bool cache_frame::is_empty() const {
  return std::all_of(layers_.begin(), layers_.end(), [](const shared_layer& layer) { return layer->size() == 0; });
}

KVTRANSFER_INLINE std::int64_t cache_frame::next_position() const {
  std::int64_t next = 0;
  for (const shared_layer& layer : layers_) {
    next = std::max(next, layer->next_position());
  }
  return next;
}

KVTRANSFER_INLINE const cache_frame::token_rows& cache_frame::token_ids(std::int64_t layer) const {
  require_index<shape_error>(layer, layers(), "cache_frame", "layer");
  return tokens_.of(static_cast<std::size_t>(layer));
}

KVTRANSFER_INLINE void cache_frame::set_token_ids(token_rows rows) {
  if (layers_.empty() && !rows.empty()) {
    fail<shape_error>("cache_frame", "token_ids", "0 rows", fmt::format("{}", rows.size()));
  }
  set_tokens(layer_tokens(layers_.size(), std::move(rows)));
}

KVTRANSFER_INLINE void cache_frame::set_tokens(layer_tokens tokens) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool seen = i > 0 && layers_share(i, i - 1) && tokens.shared(i) == tokens.shared(i - 1);
    if (const token_rows& rows = tokens.of(i); !seen && !rows.empty()) {
      require_count<shape_error>(rows.size(), layers_[i]->positions.batch(), "cache_frame", "token_ids", "{} rows");
      for (const std::vector<std::int64_t>& row : rows) {
        require_count<shape_error>(row.size(), layers_[i]->size(), "cache_frame", "token_ids", "{} ids a row");
      }
    }
  }
  tokens_ = std::move(tokens);
}

KVTRANSFER_INLINE cache_frame cache_frame::without_origin() && {
  origin_ = {};
  return std::move(*this);
}

KVTRANSFER_INLINE void cache_frame::add_edit(cache_edit edit) {
  edit.layers = edit.layers.empty() ? all_layers() : std::move(edit.layers);
  std::int64_t longest = 0;
  for (const std::int64_t index : edit.layers) {
    longest = std::max(longest, layer(index).size());
  }
  edit.slots = edit.slots.empty() ? std::vector<slot_range>{{0, longest}} : std::move(edit.slots);
  for (const slot_range& range : edit.slots) {
    require_range<shape_error>(range.begin, range.end(), longest, "cache_frame::add_edit", "slots");
  }
  detail::put_in_order(edit);
  if (!edit.slots.empty() && std::ranges::find(edits_, edit) == edits_.end()) {
    edits_.push_back(std::move(edit));
  }
}

KVTRANSFER_INLINE void cache_frame::set_edits(std::vector<cache_edit> edits) {
  edits_.clear();
  for (cache_edit& edit : edits) {
    add_edit(std::move(edit));
  }
}

KVTRANSFER_INLINE std::int64_t cache_frame::roundings() const {
  std::int64_t most = 0;
  for (const shared_layer& layer : layers_) {
    most = std::max(most, layer->roundings);
  }
  return most;
}

KVTRANSFER_INLINE cache_frame cache_frame::with_roundings(std::int64_t count) const {
  return transform([=](layer_frame layer) {
    layer.roundings = count;
    return layer;
  });
}

KVTRANSFER_INLINE bool cache_frame::has_layers_of(const cache_frame& other) const {
  return std::ranges::equal(layers_, other.layers_,
                            [](const shared_layer& x, const shared_layer& y) { return x == y || *x == *y; });
}

KVTRANSFER_INLINE void cache_frame::require_layers(std::int64_t count) const {
  require_count<shape_error>(count, layers(), "cache_frame", "layers");
}

KVTRANSFER_INLINE std::vector<std::int64_t> cache_frame::all_layers() const {
  std::vector<std::int64_t> all(layers_.size());
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

KVTRANSFER_INLINE void cache_frame::append_edits(const std::vector<cache_edit>& tail) {
  std::vector<cache_edit> behind = detail::edits_behind(tail, [&](std::int64_t index) { return layer(index).size(); });
  edits_.insert(edits_.end(), std::move_iterator(behind.begin()), std::move_iterator(behind.end()));
}

KVTRANSFER_INLINE layer_frame* cache_frame::grown(const std::vector<std::size_t>& indices) {
  const std::size_t first = indices.front();
  layer_frame* layer = growing_[first];
  if (layer == nullptr || layers_[first].use_count() != static_cast<std::int64_t>(indices.size())) {
    auto copy = std::make_shared<layer_frame>(*layers_[first]);
    layer = copy.get();
    for (const std::size_t index : indices) {
      layers_[index] = copy;
      growing_[index] = layer;
    }
  }
  return layer;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::string origin_text(const cache_frame& frame) {
  return frame.origin().is_known() ? fmt::format("a cache of model {}", frame.model().digest)
                                   : std::string("a cache of unknown origin");
}

}  // namespace kvtransfer::detail
