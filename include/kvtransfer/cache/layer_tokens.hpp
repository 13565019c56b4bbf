#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/core/alike.hpp"

namespace kvtransfer {

/// The tokens in the slots of every layer, as far as they are known. Layers need not hold the same slots, so each has
/// rows of its own; layers that agree share one object, and work on it is done once.
class layer_tokens {
 public:
  using token_rows = std::vector<std::vector<std::int64_t>>;  ///< Ids by sequence and slot, -1 for padding.
  using shared_rows = std::shared_ptr<const token_rows>;      ///< Null where they are not known.

  /// Of no layer anything is known.
  layer_tokens() = default;
  /// Rows without a sequence count as not known.
  explicit layer_tokens(std::vector<shared_rows> rows);
  /// The same rows in every one of `layers` layers.
  layer_tokens(std::size_t layers, token_rows rows) : rows_(layers, held(std::move(rows))) {}

  /// Those of one layer; empty where they are not known.
  [[nodiscard]] const token_rows& of(std::size_t layer) const;
  /// Likewise, with a share in them; null where they are not known.
  [[nodiscard]] shared_rows shared(std::size_t layer) const { return layer < rows_.size() ? rows_[layer] : nullptr; }

  /// What every layer holds; empty where layers hold different tokens, or one's are not known.
  [[nodiscard]] const token_rows& common() const;

  /// The layers named, in that order.
  [[nodiscard]] layer_tokens select(const std::vector<std::int64_t>& layers) const;

  /// `change(rows, layer) -> token_rows` of what is known.
  /// @param alike `bool(std::size_t, std::size_t)`: whether it makes the same of two layers that share their rows
  template <class Alike, class Change>
  [[nodiscard]] layer_tokens transform(Alike&& alike, Change&& change) const {
    layer_tokens changed;
    for (const auto& group : alike_groups(
             rows_.size(), [&](std::size_t a, std::size_t b) { return rows_[a] == rows_[b] && alike(a, b); })) {
      const std::size_t first = group.front();
      changed.put(group, rows_[first] ? held(change(*rows_[first], first)) : nullptr, rows_.size());
    }
    return changed;
  }
  /// Likewise, the same in every layer: `change(rows) -> token_rows`.
  template <class Change>
  [[nodiscard]] layer_tokens transform(Change&& change) const {
    return transform([](std::size_t, std::size_t) { return true; },
                     [&](const token_rows& rows, std::size_t) { return change(rows); });
  }

  /// `join(mine, theirs) -> token_rows`, layer by layer; what one side does not know is empty there.
  template <class Join>
  [[nodiscard]] layer_tokens combine(const layer_tokens& other, Join&& join) const {
    const std::size_t layers = std::max(rows_.size(), other.rows_.size());
    layer_tokens joined;
    for (const auto& group : alike_groups(layers, [&](std::size_t a, std::size_t b) {
           return shared(a) == shared(b) && other.shared(a) == other.shared(b);
         })) {
      joined.put(group, held(join(of(group.front()), other.of(group.front()))), layers);
    }
    return joined;
  }

  /// Puts `tail`'s slots behind these: known where both sides are. What that costs does not depend on how many these
  /// are, as long as nobody else holds them; then they are copied, once.
  void append(const layer_tokens& tail);

  /// By value; layers that share their rows are told apart, or not, without reading them.
  friend bool operator==(const layer_tokens& a, const layer_tokens& b) {
    const std::size_t layers = std::max(a.rows_.size(), b.rows_.size());
    for (std::size_t i = 0; i < layers; ++i) {
      const bool seen = i > 0 && a.shared(i) == a.shared(i - 1) && b.shared(i) == b.shared(i - 1);
      if (!seen && a.shared(i) != b.shared(i) && a.of(i) != b.of(i)) {
        return false;
      }
    }
    return true;
  }

 private:
  using rows_pointer = std::shared_ptr<token_rows>;

  static const token_rows& none();
  static rows_pointer held(token_rows rows);
  void put(const std::vector<std::size_t>& layers, const rows_pointer& rows, std::size_t count);

  std::vector<rows_pointer> rows_;  // one per layer, or none at all
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/layer_tokens.ipp"  // IWYU pragma: export
#endif
