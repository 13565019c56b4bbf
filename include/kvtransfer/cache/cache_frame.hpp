#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// The frame of a whole cache: one `layer_frame` per layer, shared between layers that agree, and where the cache came
/// from.
class cache_frame {
 public:
  using shared_layer = std::shared_ptr<const layer_frame>;

  cache_frame() = default;

  /// Every one of `layers` layers in the same frame.
  cache_frame(std::int64_t layers, layer_frame shared)
      : layers_(static_cast<std::size_t>(layers), std::make_shared<const layer_frame>(std::move(shared))) {}

  explicit cache_frame(std::vector<shared_layer> layers) : layers_(std::move(layers)) {}

  std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  const layer_frame& layer(std::int64_t index) const { return *shared(index); }
  const shared_layer& shared(std::int64_t index) const {
    if (index < 0 || index >= layers()) {
      fail<shape_error>("cache_frame", "layer", fmt::format("0 <= layer < {}", layers()), fmt::format("{}", index));
    }
    return layers_[static_cast<std::size_t>(index)];
  }

  /// Applies `change(layer_frame) -> layer_frame`; layers that shared their frame still do, and `change` runs once for
  /// them.
  template <class Change>
  cache_frame transform(Change&& change) const {
    std::map<const layer_frame*, shared_layer> changed;
    cache_frame result = *this;
    for (shared_layer& layer : result.layers_) {
      shared_layer& entry = changed[layer.get()];
      if (entry == nullptr) {
        entry = std::make_shared<const layer_frame>(change(*layer));
      }
      layer = entry;
    }
    return result;
  }

  /// The same origin with other layer frames. @throws shape_error unless their number is the same
  cache_frame with_layers(std::vector<shared_layer> changed) const {
    if (changed.size() != layers_.size()) {
      fail<shape_error>("cache_frame", "layers", fmt::format("{}", layers_.size()), fmt::format("{}", changed.size()));
    }
    cache_frame result = *this;
    result.layers_ = std::move(changed);
    return result;
  }

  /// Joins two frames layer by layer with `join(mine, theirs)`; pairs that were shared on both sides stay shared.
  template <class Join>
  cache_frame combine(const cache_frame& other, Join&& join) const {
    if (layers() != other.layers()) {
      fail<shape_error>("cache_frame", "layers", fmt::format("{}", layers()), fmt::format("{}", other.layers()));
    }
    std::map<std::pair<const layer_frame*, const layer_frame*>, shared_layer> joined;
    cache_frame result = *this;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      shared_layer& entry = joined[{layers_[i].get(), other.layers_[i].get()}];
      if (entry == nullptr) {
        entry = std::make_shared<const layer_frame>(join(*layers_[i], *other.layers_[i]));
      }
      result.layers_[i] = entry;
    }
    return result;
  }

  cache_frame slice(std::int64_t begin, std::int64_t end) const {
    cache_frame part = transform([=](const layer_frame& layer) { return layer.slice(begin, end); });
    for (std::vector<std::int64_t>& row : part.token_ids_) {
      row = std::vector<std::int64_t>(row.begin() + begin, row.begin() + end);
    }
    return part;
  }

  /// The batch rows named by `rows`, in that order (a row may be named more than once).
  cache_frame select_batch(const std::vector<std::int64_t>& rows) const {
    cache_frame picked = transform([&](const layer_frame& layer) { return layer.select_batch(rows); });
    picked.token_ids_.clear();
    for (std::size_t i = 0; i < rows.size() && !token_ids_.empty(); ++i) {
      picked.token_ids_.push_back(token_ids_[static_cast<std::size_t>(rows[i])]);
    }
    return picked;
  }

  /// This cache's slots followed by `other`'s. Token ids and model survive only where both sides know theirs and agree.
  cache_frame followed_by(const cache_frame& other) const {
    return followed_by(other, [](const layer_frame&, const layer_frame&) {});
  }

  /// The same after `check(mine, theirs)` for every layer, which throws where the two must not meet.
  template <class Check>
  cache_frame followed_by(const cache_frame& other, Check&& check) const {
    cache_frame joined = combine(other, [&](const layer_frame& a, const layer_frame& b) {
      check(a, b);
      return a.followed_by(b);
    });
    if (token_ids_.size() == other.token_ids_.size()) {
      for (std::size_t row = 0; row < token_ids_.size(); ++row) {
        joined.token_ids_[row].insert(joined.token_ids_[row].end(), other.token_ids_[row].begin(),
                                      other.token_ids_[row].end());
      }
    } else {
      joined.token_ids_.clear();
    }
    joined.assumed_ = assumed_ || other.assumed_;
    joined.model_ = is_empty() || model_ == other.model_ ? other.model_ : "";
    return joined;
  }

  /// True where no layer has a slot.
  bool is_empty() const {
    return std::all_of(layers_.begin(), layers_.end(), [](const shared_layer& layer) { return layer->size() == 0; });
  }

  /// One past the largest position in any layer: where text that follows would begin.
  std::int64_t next_position() const {
    std::int64_t next = 0;
    for (const shared_layer& layer : layers_) {
      next = std::max(next, layer->next_position());
    }
    return next;
  }

  /// The token of every slot `[batch][seq]`, -1 for padding; empty where the cache's text is not known.
  const std::vector<std::vector<std::int64_t>>& token_ids() const { return token_ids_; }
  /// Names the tokens, or none where `rows` is empty. @throws shape_error unless there is one id per slot of the first
  /// layer
  void set_token_ids(std::vector<std::vector<std::int64_t>> rows) {
    const std::int64_t batch = layers_.empty() ? 0 : layers_.front()->positions.batch();
    const std::int64_t slots = layers_.empty() ? 0 : layers_.front()->size();
    if (!rows.empty() && static_cast<std::int64_t>(rows.size()) != batch) {
      fail<shape_error>("cache_frame", "token_ids", fmt::format("{} rows", batch), fmt::format("{}", rows.size()));
    }
    for (const std::vector<std::int64_t>& row : rows) {
      if (static_cast<std::int64_t>(row.size()) != slots) {
        fail<shape_error>("cache_frame", "token_ids", fmt::format("{} ids a row", slots),
                          fmt::format("{}", row.size()));
      }
    }
    token_ids_ = std::move(rows);
  }

  /// Fingerprint of the model that wrote the keys; empty where it is not known.
  const std::string& model() const { return model_; }
  void set_model(std::string fingerprint) { model_ = std::move(fingerprint); }

  /// True once somebody relabelled this data by `assume_frame`: results made with it must say so.
  bool assumed() const { return assumed_; }
  void set_assumed() { assumed_ = true; }

  friend bool operator==(const cache_frame& a, const cache_frame& b) {
    return a.model_ == b.model_ && a.assumed_ == b.assumed_ && a.token_ids_ == b.token_ids_ &&
           std::equal(a.layers_.begin(), a.layers_.end(), b.layers_.begin(), b.layers_.end(),
                      [](const shared_layer& x, const shared_layer& y) { return x == y || *x == *y; });
  }

 private:
  std::vector<shared_layer> layers_;
  std::vector<std::vector<std::int64_t>> token_ids_;
  std::string model_;
  bool assumed_ = false;
};

}  // namespace kvtransfer
