#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"

namespace kvtransfer {

/// Slots [begin, end) whose keys all go from one state to another, so that one rotary operation moves them.
struct move_block {
  std::optional<std::int64_t> batch;  ///< the row meant; all rows where empty
  std::optional<std::int64_t> head;   ///< the head meant; all heads where empty
  std::int64_t begin = 0;
  std::int64_t end = 0;
  slot_state from = slot_state::unrotated();
  slot_state to = slot_state::unrotated();
  std::optional<std::int64_t> delta;  ///< tokens moved, where every key of the block moves equally far
};

namespace detail {

/// Widens `block` by `next`, which has the same states; a delta stays where both have it.
inline void widen(move_block& block, const move_block& next) {
  block.end = next.end;
  block.delta = block.delta == next.delta ? block.delta : std::nullopt;
}

inline bool same_states(const move_block& a, const move_block& b) { return a.from == b.from && a.to == b.to; }

/// One row cut wherever the pair of states changes, without its padding.
inline std::vector<move_block> blocks_of_keys(const position_row& written, const position_row& wanted) {
  std::vector<move_block> blocks;
  written.for_each_shared_run(wanted, [&](std::int64_t slot, const position_run& from, const position_run& to) {
    if (from.state.is_padding()) {
      return;
    }
    const bool even = from.count == 1 || from.step == to.step;
    const std::optional<std::int64_t> delta = even ? std::optional(to.first - from.first) : std::nullopt;
    const move_block next{std::nullopt, std::nullopt, slot, slot + from.count, from.state, to.state, delta};
    if (!blocks.empty() && blocks.back().end == slot && same_states(blocks.back(), next)) {
      widen(blocks.back(), next);
    } else {
      blocks.push_back(next);
    }
  });
  return blocks;
}

/// The same with padding given to the block on its left (the first block where there is none): nobody reads it, and
/// rows that differ in padding alone can then be moved by one operation.
inline std::vector<move_block> blocks_of_row(const position_row& written, const position_row& wanted) {
  std::vector<move_block> blocks;
  for (const move_block& next : blocks_of_keys(written, wanted)) {
    if (!blocks.empty() && same_states(blocks.back(), next)) {
      widen(blocks.back(), next);
    } else {
      blocks.push_back(next);
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    blocks[i].begin = i == 0 ? 0 : blocks[i].begin;
    blocks[i].end = i + 1 < blocks.size() ? blocks[i + 1].begin : written.size();
  }
  return blocks;
}

inline bool same_cuts(const std::vector<move_block>& a, const std::vector<move_block>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const move_block& x, const move_block& y) {
    return x.begin == y.begin && x.end == y.end && x.from == y.from && x.to == y.to;
  });
}

/// Blocks of `a` with the delta kept only where `b` moves equally far.
inline void keep_common_deltas(std::vector<move_block>& a, const std::vector<move_block>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i].delta = a[i].delta == b[i].delta ? a[i].delta : std::nullopt;
  }
}

/// The blocks that `cut` makes of one (row, head); all position streams share their cuts.
template <class Cut>
std::vector<move_block> blocks_of_streams(const position_map& written, const position_map& wanted, std::int64_t batch,
                                          std::int64_t head, Cut&& cut) {
  std::vector<move_block> blocks = cut(written.row(0, batch, head), wanted.row(0, batch, head));
  for (std::int64_t stream = 1; stream < written.streams(); ++stream) {
    keep_common_deltas(blocks, cut(written.row(stream, batch, head), wanted.row(stream, batch, head)));
  }
  return blocks;
}

}  // namespace detail

/// The operations that take keys from where they are `written` to where they are `wanted`: over all rows at once where
/// their states change at the same slots, else row by row.
/// @throws shape_error unless both maps have the same slots, rows and streams
inline std::vector<move_block> move_blocks(const position_map& written, const position_map& wanted) {
  if (written.size() != wanted.size() || written.batch() != wanted.batch() || written.streams() != wanted.streams()) {
    fail<shape_error>("move_blocks", "wanted",
                      fmt::format("[streams={}, batch={}, seq={}]", written.streams(), written.batch(), written.size()),
                      fmt::format("[streams={}, batch={}, seq={}]", wanted.streams(), wanted.batch(), wanted.size()));
  }
  const std::int64_t heads = std::max(written.heads(), wanted.heads());
  std::vector<move_block> common;
  std::vector<move_block> separate;
  bool agree = true;
  for (std::int64_t b = 0; b < written.batch(); ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      std::vector<move_block> blocks = detail::blocks_of_streams(written, wanted, b, h, detail::blocks_of_row);
      if (b == 0 && h == 0) {
        common = blocks;
      } else if (agree && detail::same_cuts(common, blocks)) {
        detail::keep_common_deltas(common, blocks);
      } else {
        agree = false;
      }
      for (move_block& block : blocks) {
        block.batch = b;
        block.head = heads > 1 ? std::optional(h) : std::nullopt;
        separate.push_back(block);
      }
    }
  }
  return agree ? common : separate;
}

}  // namespace kvtransfer
