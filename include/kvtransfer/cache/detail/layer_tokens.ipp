#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/layer_tokens.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE layer_tokens::layer_tokens(std::vector<shared_rows> rows) {
  for (const auto& group :
       alike_groups(rows.size(), [&](std::size_t a, std::size_t b) { return rows[a] == rows[b]; })) {
    const shared_rows& one = rows[group.front()];
    put(group, one == nullptr ? nullptr : held(*one), rows.size());
  }
}

KVTRANSFER_INLINE const layer_tokens::token_rows& layer_tokens::of(std::size_t layer) const {
  return layer < rows_.size() && rows_[layer] ? *rows_[layer] : none();
}

KVTRANSFER_INLINE const layer_tokens::token_rows& layer_tokens::common() const {
  for (std::size_t layer = 1; layer < rows_.size(); ++layer) {
    if (rows_[layer] != rows_[layer - 1] && of(layer) != of(layer - 1)) {
      return none();
    }
  }
  return of(0);
}

KVTRANSFER_INLINE layer_tokens layer_tokens::select(const std::vector<std::int64_t>& layers) const {
  layer_tokens chosen;
  for (const std::int64_t layer : layers) {
    const auto index = static_cast<std::size_t>(layer);
    chosen.rows_.push_back(index < rows_.size() ? rows_[index] : nullptr);
  }
  return chosen;
}

KVTRANSFER_INLINE void layer_tokens::append(const layer_tokens& tail) {
  std::vector<rows_pointer> behind = tail.rows_;  // which may be these
  behind.resize(rows_.size());
  for (const auto& group : alike_groups(rows_.size(), [&](std::size_t a, std::size_t b) {
         return rows_[a] == rows_[b] && behind[a] == behind[b];
       })) {
    const rows_pointer& mine = rows_[group.front()];
    const rows_pointer& theirs = behind[group.front()];
    const bool known = mine != nullptr && theirs != nullptr && mine->size() == theirs->size();
    rows_pointer grown = known && std::cmp_greater(mine.use_count(), group.size()) ? held(*mine) : mine;
    for (std::size_t row = 0; known && row < grown->size(); ++row) {
      (*grown)[row].insert((*grown)[row].end(), (*theirs)[row].begin(), (*theirs)[row].end());
    }
    put(group, known ? grown : nullptr, rows_.size());
  }
}

KVTRANSFER_INLINE const layer_tokens::token_rows& layer_tokens::none() {
  static const token_rows rows;
  return rows;
}

KVTRANSFER_INLINE layer_tokens::rows_pointer layer_tokens::held(token_rows rows) {
  return rows.empty() ? nullptr : std::make_shared<token_rows>(std::move(rows));
}

KVTRANSFER_INLINE void layer_tokens::put(const std::vector<std::size_t>& layers, const rows_pointer& rows,
                                         std::size_t count) {
  rows_.resize(count);
  for (const std::size_t layer : layers) {
    rows_[layer] = rows;
  }
}

}  // namespace kvtransfer
