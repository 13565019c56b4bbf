#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

// Which keys of a storage one rotary operation moves: neighbouring slots that all go one way, of as many rows as have
// them.

namespace kvtransfer::detail {

/// From which state keys go to which.
struct key_move {
  slot_state from = slot_state::unrotated();
  slot_state to = slot_state::unrotated();
  std::optional<std::int64_t> delta;  ///< tokens moved, where every key moves equally far

  [[nodiscard]] bool has_states_of(const key_move& other) const { return from == other.from && to == other.to; }
  void keep_common_delta(const key_move& other) { delta = delta == other.delta ? delta : std::nullopt; }
};

/// Neighbouring slots of one sequence and head whose keys all go one way.
struct row_cut {
  slot_range slots;
  key_move move;
};

/// Neighbouring slots of one sequence, as they follow one another in a block.
struct sequence_piece {
  std::int64_t batch = 0;
  slot_range slots;

  friend bool operator==(const sequence_piece&, const sequence_piece&) = default;
};

/// The same slots of several rows of a storage, whose keys all go one way, so that one rotary operation moves them.
struct move_block {
  std::optional<std::int64_t> head;  ///< the head meant; all heads where empty
  slot_range slots;                  ///< of the storage's rows
  key_move move;
  std::vector<std::int64_t> rows;
  std::vector<sequence_piece>
      pieces;  ///< what lies in the slots: of the first row from left to right, then of the next

  /// Takes in `next` and returns true, if it moves alike and lies in the same slots of another row (the next one, where
  /// rows have to be `neighbours`), or goes on in the one row that there is: sequences packed one after another.
  bool absorb(const move_block& next, bool neighbours) {
    const bool in_same_slots = slots == next.slots && (!neighbours || rows.back() + 1 == next.rows.front());
    const bool goes_on = rows.size() == 1 && rows == next.rows && slots.end() == next.slots.begin;
    if (head != next.head || !move.has_states_of(next.move) || !(in_same_slots || goes_on)) {
      return false;
    }
    if (in_same_slots) {
      rows.push_back(next.rows.front());
    } else {
      slots.count += next.slots.count;
    }
    const sequence_piece& piece = next.pieces.front();
    if (pieces.back().batch == piece.batch && pieces.back().slots.end() == piece.slots.begin) {
      pieces.back().slots.count += piece.slots.count;
    } else {
      pieces.push_back(piece);
    }
    move.keep_common_delta(next.move);
    return true;
  }
};

/// What becomes of padding when keys are moved.
enum class padding_moves {
  never,      ///< its slots may be somebody else's
  with_keys,  ///< nobody reads it, and rows that differ in padding alone can then be moved by one operation
};

/// One row cut wherever the pair of states changes. Padding that moves goes with the keys on its left, at the left end
/// with those on its right.
inline std::vector<row_cut> cuts_of_row(const position_row& stored, const position_row& target, padding_moves padding) {
  std::vector<row_cut> cuts;
  stored.for_each_shared_run(target, [&](std::int64_t slot, const position_run& from, const position_run& to) {
    if (from.state.is_padding()) {
      return;
    }
    const bool even = from.count == 1 || from.step == to.step;
    const key_move move{from.state, to.state, even ? std::optional(to.first - from.first) : std::nullopt};
    const bool adjoins = !cuts.empty() && (padding == padding_moves::with_keys || cuts.back().slots.end() == slot);
    if (adjoins && cuts.back().move.has_states_of(move)) {
      cuts.back().slots.count = slot + from.count - cuts.back().slots.begin;
      cuts.back().move.keep_common_delta(move);
    } else {
      cuts.push_back({{slot, from.count}, move});
    }
  });
  for (std::size_t i = 0; padding == padding_moves::with_keys && i < cuts.size(); ++i) {
    const std::int64_t begin = i == 0 ? 0 : cuts[i].slots.begin;
    cuts[i].slots = {begin, (i + 1 < cuts.size() ? cuts[i + 1].slots.begin : stored.size()) - begin};
  }
  return cuts;
}

/// The cuts of one sequence: of all heads together where their states change at the same slots, else head by head.
inline std::vector<std::vector<row_cut>> cuts_of_sequence(const position_map& stored, const position_map& target,
                                                          std::int64_t batch, padding_moves padding) {
  const auto keep_common_deltas = [](std::vector<row_cut>& cuts, const std::vector<row_cut>& others) {
    for (std::size_t i = 0; i < cuts.size(); ++i) {
      cuts[i].move.keep_common_delta(others[i].move);
    }
  };
  const auto agrees = [](const row_cut& a, const row_cut& b) {
    return a.slots == b.slots && a.move.has_states_of(b.move);
  };
  std::vector<std::vector<row_cut>> by_head;
  for (std::int64_t head = 0; head < std::max(stored.heads(), target.heads()); ++head) {
    std::vector<row_cut>& cuts = by_head.emplace_back();
    for (std::int64_t stream = 0; stream < stored.streams(); ++stream) {  // which are in the same states
      auto of_stream = cuts_of_row(stored.row(stream, batch, head), target.row(stream, batch, head), padding);
      if (stream == 0) {
        cuts = std::move(of_stream);
      } else {
        keep_common_deltas(cuts, of_stream);
      }
    }
  }
  const std::vector<row_cut> first = by_head.front();
  if (std::ranges::all_of(by_head, [&](const auto& cuts) { return std::ranges::equal(first, cuts, agrees); })) {
    for (const std::vector<row_cut>& cuts : by_head) {
      keep_common_deltas(by_head.front(), cuts);
    }
    by_head.resize(1);
  }
  return by_head;
}

/// The rotary operations that take the keys of a storage from where they are `stored` to where they shall be.
/// @param stored, target positions of the sequences
/// @param spans where their slots lie, sorted by sequence, no two in one place
/// @throws shape_error unless both maps have the same slots, sequences and streams
inline std::vector<move_block> move_blocks(const position_map& stored, const position_map& target,
                                           const std::vector<layouts::slot_span>& spans, padding_moves padding) {
  const auto described = [](const position_map& map) {
    return fmt::format("[streams={}, batch={}, seq={}]", map.streams(), map.batch(), map.size());
  };
  if (stored.size() != target.size() || stored.batch() != target.batch() || stored.streams() != target.streams()) {
    fail<shape_error>("move_blocks", "target", described(stored), described(target));
  }
  std::vector<move_block> blocks;
  std::int64_t batch = -1;
  std::vector<std::vector<row_cut>> by_head;
  for (const layouts::slot_span& span : spans) {
    if (span.batch != batch) {
      batch = span.batch;
      by_head = cuts_of_sequence(stored, target, batch, padding);
    }
    for (std::size_t head = 0; head < by_head.size(); ++head) {
      const auto only_head = by_head.size() == 1 ? std::nullopt : std::optional(static_cast<std::int64_t>(head));
      for (const row_cut& cut : by_head[head]) {
        const slot_range slots = cut.slots.overlap({span.begin, span.count});
        if (slots.empty()) {
          continue;
        }
        move_block added{
            only_head, {slots.begin + span.slot - span.begin, slots.count}, cut.move, {span.block}, {{batch, slots}}};
        const auto absorbs = [&](move_block& block) {
          return block.absorb(added, padding == padding_moves::with_keys);
        };
        if (std::none_of(blocks.rbegin(), blocks.rend(), absorbs)) {
          blocks.push_back(std::move(added));
        }
      }
    }
  }
  return blocks;
}

}  // namespace kvtransfer::detail
