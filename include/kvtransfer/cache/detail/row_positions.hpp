#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer {

/// The positions of a layer as the rows of its storage hold them, each place once.
struct row_positions {
  std::vector<layouts::slot_span> spans;  ///< row b of `positions` lies in a block of the storage
  position_map positions;                 ///< `[streams, rows in use, kv_heads or 1, slots]`, padding where no key lies
};

namespace detail {

/// The rows that `slots` names, rising.
inline std::vector<std::int64_t> rows_in_use(const layouts::slot_table& slots) {
  std::vector<char> used(static_cast<std::size_t>(slots.blocks_needed()), 0);
  for (const layouts::slot_span& span : slots.spans()) {
    used[static_cast<std::size_t>(span.block)] = 1;
  }
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < slots.blocks_needed(); ++row) {
    if (used[static_cast<std::size_t>(row)] != 0) {
      rows.push_back(row);
    }
  }
  return rows;
}

/// The keys of one stream while they are put in their places in the storage.
class stored_keys {
 public:
  stored_keys(std::size_t rows, std::int64_t heads, std::int64_t block_size)
      : block_size_(static_cast<std::size_t>(block_size)),
        heads_(static_cast<std::size_t>(heads)),
        keys_(rows * heads_ * block_size_, position_run{0, 1, 0, slot_state::padding()}) {}

  /// @throws frame_error where another sequence has a key in that place, but not at this position and in this state
  void put(std::size_t row, std::int64_t head, std::int64_t slot, const position_run& key, std::string_view where) {
    position_run& place =
        keys_[(row * heads_ + static_cast<std::size_t>(head)) * block_size_ + static_cast<std::size_t>(slot)];
    if (!place.state.is_padding() && !key.state.is_padding() && !(place == key)) {
      fail<frame_error>(where, "positions",
                        "sequences to agree on the keys that they share (copy one of the rows first)",
                        fmt::format("a key at {} in one row and at {} in another", place.first, key.first));
    }
    place = key.state.is_padding() ? place : key;
  }

  /// One row per block of the storage and head, heads side by side.
  void append_to(std::vector<position_row>& rows) const {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (i % block_size_ == 0) {
        rows.emplace_back();
      }
      rows.back().append(keys_[i]);
    }
  }

 private:
  std::size_t block_size_;
  std::size_t heads_;
  std::vector<position_run> keys_;
};

}  // namespace detail

/// Puts the positions of a layer where its slots are stored: keys that sequences share are found to be one.
/// @param block_size slots in a block of the storage
/// @throws frame_error where two slots share a place but not their position and state
inline row_positions stored_positions_of(const position_map& positions, const layouts::slot_table& slots,
                                     std::int64_t block_size, std::string_view where) {
  const std::vector<std::int64_t> rows = detail::rows_in_use(slots);
  std::vector<std::size_t> index(static_cast<std::size_t>(slots.blocks_needed()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    index[static_cast<std::size_t>(rows[i])] = i;
  }
  std::vector<position_row> stored;
  for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
    detail::stored_keys keys(rows.size(), positions.heads(), block_size);
    for (std::int64_t head = 0; head < positions.heads(); ++head) {
      std::int64_t batch = -1;
      std::vector<position_run> read;
      for (const layouts::slot_span& span : slots.spans()) {
        if (span.batch != batch) {
          batch = span.batch;
          read = positions.row(stream, batch, head).one_run_per_slot();
        }
        for (std::int64_t i = 0; i < span.count; ++i) {
          keys.put(index[static_cast<std::size_t>(span.block)], head, span.slot + i,
                   read[static_cast<std::size_t>(span.begin + i)], where);
        }
      }
    }
    keys.append_to(stored);
  }
  std::vector<layouts::slot_span> spans;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    spans.push_back({static_cast<std::int64_t>(i), 0, rows[i], 0, block_size});
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  return {std::move(spans),
          count == 0 ? position_map() : position_map(positions.streams(), count, positions.heads(), std::move(stored))};
}

}  // namespace kvtransfer
