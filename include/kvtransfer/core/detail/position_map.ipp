#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE position_map::position_map(std::int64_t streams, std::int64_t batch, std::int64_t heads,
                                             std::vector<position_row> rows)
    : streams_(streams), batch_(batch), heads_(heads), rows_(std::move(rows)) {
  const auto expected = streams * batch * heads;
  if (streams < 1 || batch < 1 || heads < 1 || static_cast<std::int64_t>(rows_.size()) != expected) {
    fail<shape_error>("position_map", "rows", fmt::format("streams * batch * heads = {} rows", expected),
                      fmt::format("{}", rows_.size()));
  }
  for (const position_row& row : rows_) {
    require_count<shape_error>(row.size(), size(), "position_map", "rows", "{} slots in every row");
  }
  require<shape_error>(streams_agree_in_states(), "position_map", "rows", "each slot in one state, whatever the stream",
                       "streams that differ");
}

KVTRANSFER_INLINE position_map position_map::consecutive(std::int64_t first, std::int64_t count, std::int64_t batch) {
  return position_map(position_row::consecutive(first, count), batch);
}

KVTRANSFER_INLINE const position_row& position_map::row(std::int64_t stream, std::int64_t batch,
                                                        std::int64_t head) const& {
  return rows_[static_cast<std::size_t>((stream * batch_ + batch) * heads_ + (heads_ == 1 ? 0 : head))];
}

KVTRANSFER_INLINE position_row position_map::row(std::int64_t stream, std::int64_t batch, std::int64_t head) && {
  return std::as_const(*this).row(stream, batch, head);
}

KVTRANSFER_INLINE std::int64_t position_map::reach() const {
  std::int64_t farthest = 0;
  for (const position_row& row : rows_) {
    farthest = std::max(farthest, row.reach());
  }
  return farthest;
}

KVTRANSFER_INLINE position_map position_map::shifted(std::int64_t delta) const {
  return transform([delta](const position_row& row) { return row.shifted(delta); });
}

KVTRANSFER_INLINE position_map position_map::slice(std::int64_t begin, std::int64_t end) const {
  return transform([=](const position_row& row) { return row.slice(begin, end); });
}

KVTRANSFER_INLINE position_map position_map::gather(const std::vector<std::int64_t>& slots) const {
  return transform([&](const position_row& row) { return row.gather(slots); });
}

KVTRANSFER_INLINE position_map position_map::followed_by(const position_map& other) const {
  position_map joined = *this;
  joined.append(other);
  return joined;
}

KVTRANSFER_INLINE void position_map::append(const position_map& tail) {
  require_joinable(tail);
  if (rows_.empty() || (size() == 0 && !tail.rows_.empty() && batch_ == tail.batch_)) {
    *this = tail;
  } else if (!tail.rows_.empty()) {
    const std::int64_t heads = std::max(heads_, tail.heads_);
    if (heads_ != heads) {
      *this = with_heads(heads);
    }
    for (std::int64_t i = 0; i < streams_ * batch_ * heads; ++i) {
      const std::int64_t of_tail = i / heads * tail.heads_ + (tail.heads_ == 1 ? 0 : i % heads);
      rows_[static_cast<std::size_t>(i)].append(tail.rows_[static_cast<std::size_t>(of_tail)]);
    }
  }
}

KVTRANSFER_INLINE void position_map::require_joinable(const position_map& tail) const {
  if (rows_.empty() || tail.rows_.empty() || (size() == 0 && batch_ == tail.batch_)) {
    return;
  }
  if (streams_ != tail.streams_ || batch_ != tail.batch_) {
    fail<shape_error>("position_map::followed_by", "other", fmt::format("[streams={}, batch={}]", streams_, batch_),
                      fmt::format("[streams={}, batch={}]", tail.streams_, tail.batch_));
  }
  require<shape_error>(heads_ == 1 || tail.heads_ == 1 || heads_ == tail.heads_, "position_map::with_heads", "heads",
                       "positions shared by all heads", fmt::format("{} heads", std::min(heads_, tail.heads_)));
}

KVTRANSFER_INLINE position_map position_map::with_heads(std::int64_t heads) const {
  if (heads == heads_) {
    return *this;
  }
  require<shape_error>(heads_ == 1, "position_map::with_heads", "heads", "positions shared by all heads",
                       fmt::format("{} heads", heads_));
  std::vector<position_row> rows;
  for (const position_row& row : rows_) {
    rows.insert(rows.end(), static_cast<std::size_t>(heads), row);
  }
  return position_map(streams_, batch_, heads, std::move(rows));
}

KVTRANSFER_INLINE position_map position_map::with_states_of(const position_map& other) const {
  if (size() != other.size() || streams_ != other.streams_ || batch_ != other.batch_) {
    fail<shape_error>("position_map::with_states_of", "other",
                      fmt::format("[streams={}, batch={}, seq={}]", streams_, batch_, size()),
                      fmt::format("[streams={}, batch={}, seq={}]", other.streams_, other.batch_, other.size()));
  }
  position_map mixed = with_heads(heads_ >= other.heads_ ? heads_ : other.heads_);
  const position_map states = other.with_heads(mixed.heads_);
  for (std::size_t i = 0; i < mixed.rows_.size(); ++i) {
    mixed.rows_[i] = mixed.rows_[i].with_states_of(states.rows_[i]);
  }
  return mixed;
}

KVTRANSFER_INLINE bool position_map::has_keys_of(const position_map& other) const {
  const std::int64_t heads = heads_ == 1 ? other.heads_ : heads_;
  bool same = streams_ == other.streams_ && batch_ == other.batch_ && size() == other.size() &&
              (other.heads_ == 1 || other.heads_ == heads);
  for (std::int64_t b = 0; same && b < batch_; ++b) {
    for (std::int64_t head = 0; same && head < heads; ++head) {
      same = row(0, b, head).has_keys_of(other.row(0, b, head));
    }
  }
  return same;
}

KVTRANSFER_INLINE position_map position_map::select_batch(const std::vector<std::int64_t>& sequences) const {
  std::vector<position_row> rows;
  for (std::int64_t stream = 0; stream < streams_; ++stream) {
    for (const std::int64_t b : sequences) {
      require<shape_error>(b >= 0 && b < batch_, "position_map::select_batch", "sequence",
                           fmt::format("0 <= sequence < {}", batch_), fmt::format("{}", b));
      const auto start = rows_.begin() + (stream * batch_ + b) * heads_;
      rows.insert(rows.end(), start, start + heads_);
    }
  }
  return position_map(streams_, static_cast<std::int64_t>(sequences.size()), heads_, std::move(rows));
}

KVTRANSFER_INLINE bool position_map::streams_agree_in_states() const {
  const auto per_stream = static_cast<std::size_t>(batch_ * heads_);
  for (std::size_t i = per_stream; i < rows_.size(); ++i) {
    if (!rows_[i].has_states_of(rows_[i % per_stream])) {
      return false;
    }
  }
  return true;
}

}  // namespace kvtransfer
