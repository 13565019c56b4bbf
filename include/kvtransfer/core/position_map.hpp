#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer {

/// Where every key of one layer stands: positions `[streams, batch, kv_heads or 1, seq]` in tokens, kept as runs on the
/// host.
///
/// One entry on the heads axis means that all heads share it. Streams exist for M-RoPE (temporal, height, width); text
/// has one. Every row spans the same slots; rows with fewer keys hold padding.
class position_map {
 public:
  position_map() = default;

  /// The same row for each of `batch` rows, one stream, heads shared.
  explicit position_map(const position_row& row, std::int64_t batch = 1)
      : position_map(1, batch, 1, std::vector<position_row>(static_cast<std::size_t>(batch), row)) {}

  /// @param rows stream-major, then batch, then head: entry `(stream * batch + b) * heads + h`
  /// @throws shape_error if their number or their lengths do not fit, or the streams of a slot differ in state
  position_map(std::int64_t streams, std::int64_t batch, std::int64_t heads, std::vector<position_row> rows)
      : streams_(streams), batch_(batch), heads_(heads), rows_(std::move(rows)) {
    const auto expected = streams * batch * heads;
    if (streams < 1 || batch < 1 || heads < 1 || static_cast<std::int64_t>(rows_.size()) != expected) {
      fail<shape_error>("position_map", "rows", fmt::format("streams * batch * heads = {} rows", expected),
                        fmt::format("{}", rows_.size()));
    }
    for (const position_row& row : rows_) {
      require_count<shape_error>(row.size(), size(), "position_map", "rows", "{} slots in every row");
    }
    require<shape_error>(streams_agree_in_states(), "position_map", "rows",
                         "each slot in one state, whatever the stream", "streams that differ");
  }

  /// A row for every stream, sequence and head. @param make what gives the row of (stream, sequence, head)
  template <class Make>
  [[nodiscard]] static position_map of_rows(std::int64_t streams, std::int64_t batch, std::int64_t heads, Make&& make) {
    std::vector<position_row> rows;
    for (std::int64_t i = 0; i < streams * batch * heads; ++i) {
      rows.push_back(make(i / heads / batch, i / heads % batch, i % heads));
    }
    return position_map(streams, batch, heads, std::move(rows));
  }

  /// Positions first, first + 1, … for `count` slots of every row.
  [[nodiscard]] static position_map consecutive(std::int64_t first, std::int64_t count, std::int64_t batch = 1) {
    return position_map(position_row::consecutive(first, count), batch);
  }

  /// 3 for M-RoPE (temporal, height, width), 1 for text.
  [[nodiscard]] std::int64_t streams() const { return streams_; }
  /// Sequences.
  [[nodiscard]] std::int64_t batch() const { return batch_; }
  /// 1 where all heads share their positions.
  [[nodiscard]] std::int64_t heads() const { return heads_; }
  /// Slots per row.
  [[nodiscard]] std::int64_t size() const { return rows_.empty() ? 0 : rows_.front().size(); }

  /// All rows in the constructor's order: stream, then sequence, then head.
  [[nodiscard]] const std::vector<position_row>& rows() const& { return rows_; }
  /// The same of a map that is about to go: rows that outlive it.
  [[nodiscard]] std::vector<position_row> rows() && { return std::move(rows_); }
  /// One head's positions in a sequence; where heads share, any `head` gives the shared row. Indices are not checked.
  [[nodiscard]] const position_row& row(std::int64_t stream, std::int64_t batch, std::int64_t head) const& {
    return rows_[static_cast<std::size_t>((stream * batch_ + batch) * heads_ + (heads_ == 1 ? 0 : head))];
  }
  /// The same of a map that is about to go: a row that outlives it.
  [[nodiscard]] position_row row(std::int64_t stream, std::int64_t batch, std::int64_t head) && {
    return std::as_const(*this).row(stream, batch, head);
  }

  /// How far from 0 the furthest key of any row stands, in tokens.
  [[nodiscard]] std::int64_t reach() const {
    std::int64_t farthest = 0;
    for (const position_row& row : rows_) {
      farthest = std::max(farthest, row.reach());
    }
    return farthest;
  }

  /// Applies `change(row) -> row` to every row.
  template <class Change>
  position_map transform(Change&& change) const {
    position_map changed = *this;
    for (position_row& row : changed.rows_) {
      row = change(row);
    }
    return changed;
  }

  /// Every position moved by `delta` tokens; padding stays.
  [[nodiscard]] position_map shifted(std::int64_t delta) const {
    return transform([delta](const position_row& row) { return row.shifted(delta); });
  }

  /// The slots [begin, end) of every row. @throws shape_error unless they exist
  [[nodiscard]] position_map slice(std::int64_t begin, std::int64_t end) const {
    return transform([=](const position_row& row) { return row.slice(begin, end); });
  }

  /// The slots named by `slots` of every row, in that order. @throws shape_error if there is no such slot
  [[nodiscard]] position_map gather(const std::vector<std::int64_t>& slots) const {
    return transform([&](const position_row& row) { return row.gather(slots); });
  }

  /// This map's slots followed by `other`'s. @throws shape_error as `append`
  [[nodiscard]] position_map followed_by(const position_map& other) const {
    position_map joined = *this;
    joined.append(other);
    return joined;
  }

  /// Puts `tail`'s slots behind these; what that costs does not depend on how many these are.
  /// @throws shape_error as `require_joinable`, and then nothing has changed
  void append(const position_map& tail) {
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

  /// @throws shape_error unless `tail` can stand behind this map: streams and batch agree, and heads where both have
  /// their own
  void require_joinable(const position_map& tail) const {
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

  /// The same positions with one entry per head. @throws shape_error if the heads differ already
  [[nodiscard]] position_map with_heads(std::int64_t heads) const {
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

  /// These positions in the slot states of `other` (which slots are padding, and how each key is rotated).
  /// @throws shape_error unless slots, streams and batch agree, and every key has a position
  [[nodiscard]] position_map with_states_of(const position_map& other) const {
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

  /// Whether keys could be moved from here to `other`: streams, batch and slots agree, and where one has a key the
  /// other has one.
  [[nodiscard]] bool has_keys_of(const position_map& other) const {
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

  /// The sequences named by `sequences`, in that order, with all their streams and heads (one may be named more
  /// than once).
  /// @throws shape_error if there is no such sequence
  [[nodiscard]] position_map select_batch(const std::vector<std::int64_t>& sequences) const {
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

  friend bool operator==(const position_map&, const position_map&) = default;

 private:
  [[nodiscard]] bool streams_agree_in_states() const {
    const auto per_stream = static_cast<std::size_t>(batch_ * heads_);
    for (std::size_t i = per_stream; i < rows_.size(); ++i) {
      if (!rows_[i].has_states_of(rows_[i % per_stream])) {
        return false;
      }
    }
    return true;
  }

  std::int64_t streams_ = 1;
  std::int64_t batch_ = 0;
  std::int64_t heads_ = 1;
  std::vector<position_row> rows_;
};

}  // namespace kvtransfer
