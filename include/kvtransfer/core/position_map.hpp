#pragma once

#include <cstdint>
#include <utility>
#include <vector>

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
  position_map(std::int64_t streams, std::int64_t batch, std::int64_t heads, std::vector<position_row> rows);

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
  [[nodiscard]] static position_map consecutive(std::int64_t first, std::int64_t count, std::int64_t batch = 1);

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
  [[nodiscard]] const position_row& row(std::int64_t stream, std::int64_t batch, std::int64_t head) const&;
  /// The same of a map that is about to go: a row that outlives it.
  [[nodiscard]] position_row row(std::int64_t stream, std::int64_t batch, std::int64_t head) &&;

  /// How far from 0 the furthest key of any row stands, in tokens.
  [[nodiscard]] std::int64_t reach() const;

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
  [[nodiscard]] position_map shifted(std::int64_t delta) const;

  /// The slots [begin, end) of every row. @throws shape_error unless they exist
  [[nodiscard]] position_map slice(std::int64_t begin, std::int64_t end) const;

  /// The slots named by `slots` of every row, in that order. @throws shape_error if there is no such slot
  [[nodiscard]] position_map gather(const std::vector<std::int64_t>& slots) const;

  /// This map's slots followed by `other`'s. @throws shape_error as `append`
  [[nodiscard]] position_map followed_by(const position_map& other) const;

  /// Puts `tail`'s slots behind these; what that costs does not depend on how many these are.
  /// @throws shape_error as `require_joinable`, and then nothing has changed
  void append(const position_map& tail);

  /// @throws shape_error unless `tail` can stand behind this map: streams and batch agree, and heads where both have
  /// their own
  void require_joinable(const position_map& tail) const;

  /// The same positions with one entry per head. @throws shape_error if the heads differ already
  [[nodiscard]] position_map with_heads(std::int64_t heads) const;

  /// These positions in the slot states of `other` (which slots are padding, and how each key is rotated).
  /// @throws shape_error unless slots, streams and batch agree, and every key has a position
  [[nodiscard]] position_map with_states_of(const position_map& other) const;

  /// Whether keys could be moved from here to `other`: streams, batch and slots agree, and where one has a key the
  /// other has one.
  [[nodiscard]] bool has_keys_of(const position_map& other) const;

  /// The sequences named by `sequences`, in that order, with all their streams and heads (one may be named more
  /// than once).
  /// @throws shape_error if there is no such sequence
  [[nodiscard]] position_map select_batch(const std::vector<std::int64_t>& sequences) const;

  friend bool operator==(const position_map&, const position_map&) = default;

 private:
  [[nodiscard]] bool streams_agree_in_states() const;

  std::int64_t streams_ = 1;
  std::int64_t batch_ = 0;
  std::int64_t heads_ = 1;
  std::vector<position_row> rows_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/position_map.ipp"  // IWYU pragma: export
#endif
