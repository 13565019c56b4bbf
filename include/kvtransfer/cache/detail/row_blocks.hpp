#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/detail/move_blocks.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer {

/// Neighbouring slots of one batch row, as they follow one another in a block: on from the end of one of its rows to
/// the next.
struct row_piece {
  std::int64_t batch = 0;
  std::int64_t begin = 0;  ///< the first slot, of the batch row
  std::int64_t count = 0;

  friend bool operator==(const row_piece&, const row_piece&) = default;
};

/// Neighbouring slots of a storage's rows, whose keys all go from one state to another.
struct moved_slots {
  std::optional<std::int64_t> head;  ///< the head meant; all heads where empty
  std::int64_t begin = 0;            ///< of the storage's slots
  std::int64_t end = 0;
  slot_state from = slot_state::unrotated();
  slot_state to = slot_state::unrotated();
  std::optional<std::int64_t> delta;  ///< tokens moved, where every key moves equally far
};

/// Such slots of one row.
struct row_stretch : moved_slots {
  std::int64_t row = 0;  ///< of the storage
  row_piece piece;       ///< what lies in the slots
};

/// Such slots of several rows, so that one rotary operation moves them.
struct row_block : moved_slots {
  std::vector<std::int64_t> rows;  ///< of the storage
  std::vector<row_piece> pieces;   ///< what lies in those slots: of the first row from left to right, then of the next

  explicit row_block(const row_stretch& first) : moved_slots(first), rows({first.row}), pieces({first.piece}) {}

  /// Takes in `next` and returns true, if it moves alike and lies in the same slots of another row, or goes on in the
  /// one row that there is: sequences packed one after another.
  bool absorb(const row_stretch& next) {
    const bool in_same_slots = begin == next.begin && end == next.end;
    const bool goes_on = rows.size() == 1 && rows.front() == next.row && end == next.begin;
    if (head != next.head || from != next.from || to != next.to || !(in_same_slots || goes_on)) {
      return false;
    }
    if (in_same_slots) {
      rows.push_back(next.row);
    } else {
      end = next.end;
    }
    if (pieces.back().batch == next.piece.batch && pieces.back().begin + pieces.back().count == next.piece.begin) {
      pieces.back().count += next.piece.count;
    } else {
      pieces.push_back(next.piece);
    }
    delta = delta == next.delta ? delta : std::nullopt;
    return true;
  }
};

namespace detail {

/// The moves of one batch row: of all heads together where their states change at the same slots, else head by head.
struct row_moves {
  bool heads_agree = true;
  std::vector<std::vector<move_block>> by_head;
};

inline row_moves moves_of_row(const position_map& written, const position_map& wanted, std::int64_t batch) {
  row_moves moves;
  for (std::int64_t head = 0; head < std::max(written.heads(), wanted.heads()); ++head) {
    moves.by_head.push_back(blocks_of_streams(written, wanted, batch, head, blocks_of_keys));
    moves.heads_agree = moves.heads_agree && same_cuts(moves.by_head.front(), moves.by_head.back());
  }
  if (moves.heads_agree) {
    for (const std::vector<move_block>& blocks : moves.by_head) {
      keep_common_deltas(moves.by_head.front(), blocks);
    }
    moves.by_head.resize(1);
  }
  return moves;
}

/// Adds what `move` does to the slots of `span`, to the block that is like it or as a new one.
inline void add_to_blocks(std::vector<row_block>& blocks, const layouts::slot_span& span, const move_block& move,
                          std::optional<std::int64_t> head) {
  const std::int64_t begin = std::max(span.begin, move.begin);
  const std::int64_t end = std::min(span.begin + span.count, move.end);
  if (begin >= end) {
    return;
  }
  const std::int64_t offset = span.slot - span.begin;
  const row_stretch added{
      {head, begin + offset, end + offset, move.from, move.to, move.delta}, span.row, {span.batch, begin, end - begin}};
  if (std::none_of(blocks.rbegin(), blocks.rend(), [&](row_block& block) { return block.absorb(added); })) {
    blocks.emplace_back(added);
  }
}

}  // namespace detail

/// The operations that take the keys of a storage from where they are `written` to where they are `wanted`. Padding
/// belongs to no block: in a tensor of somebody else's its slots may be another's.
/// @param written as `wanted`, positions of the batch rows
/// @param spans where their slots lie, sorted by batch row, no two in one place
inline std::vector<row_block> row_blocks(const position_map& written, const position_map& wanted,
                                         const std::vector<layouts::slot_span>& spans) {
  std::vector<row_block> blocks;
  std::int64_t batch = -1;
  detail::row_moves moves;
  for (const layouts::slot_span& span : spans) {
    if (span.batch != batch) {
      batch = span.batch;
      moves = detail::moves_of_row(written, wanted, batch);
    }
    for (std::size_t head = 0; head < moves.by_head.size(); ++head) {
      for (const move_block& move : moves.by_head[head]) {
        detail::add_to_blocks(blocks, span, move,
                              moves.heads_agree ? std::nullopt : std::optional(static_cast<std::int64_t>(head)));
      }
    }
  }
  return blocks;
}

}  // namespace kvtransfer
