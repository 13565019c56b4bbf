#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "kvtransfer/cache/move_blocks.hpp"
#include "kvtransfer/core/position_map.hpp"

namespace kvtransfer {

/// The same slots of several rows, whose keys all go from one state to another, so that one rotary operation moves them.
struct row_block {
  std::vector<std::int64_t> rows;     ///< of the map, rising
  std::optional<std::int64_t> head;   ///< the head meant; all heads where empty
  std::int64_t begin = 0;
  std::int64_t end = 0;
  slot_state from = slot_state::unrotated();
  slot_state to = slot_state::unrotated();
  std::optional<std::int64_t> delta;  ///< tokens moved, where every key of the block moves equally far
};

namespace detail {

/// Groups blocks by slots and states: those of several rows that are alike become one.
class row_block_groups {
 public:
  void add(std::int64_t row, std::optional<std::int64_t> head, const move_block& added) {
    const auto code = [](slot_state state) { return state.is_rotated() ? state.regime() : -1; };
    const key group{head.value_or(-1), added.begin, added.end, code(added.from), code(added.to)};
    const auto [found, fresh] =
        blocks_.try_emplace(group, row_block{{}, head, added.begin, added.end, added.from, added.to, added.delta});
    row_block& block = found->second;
    block.rows.push_back(row);
    block.delta = block.delta == added.delta ? block.delta : std::nullopt;
  }

  std::vector<row_block> blocks() const {
    std::vector<row_block> all;
    for (const auto& [group, block] : blocks_) {
      all.push_back(block);
    }
    return all;
  }

 private:
  using key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int32_t, std::int32_t>;
  std::map<key, row_block> blocks_;
};

}  // namespace detail

/// The operations that take the keys of a storage's rows from where they are `written` to where they are `wanted`. Padding belongs
/// to no block: in a tensor of somebody else's its slots may be another's.
/// @param written as `wanted`, `[streams, rows, kv_heads or 1, slots]`
inline std::vector<row_block> row_blocks(const position_map& written, const position_map& wanted) {
  const std::int64_t heads = std::max(written.heads(), wanted.heads());
  detail::row_block_groups groups;
  for (std::int64_t row = 0; row < written.batch(); ++row) {
    std::vector<std::vector<move_block>> by_head;
    bool agree = true;
    for (std::int64_t head = 0; head < heads; ++head) {
      by_head.push_back(detail::blocks_of_streams(written, wanted, row, head, detail::blocks_of_keys));
      agree = agree && detail::same_cuts(by_head.front(), by_head.back());
    }
    if (agree) {
      for (const std::vector<move_block>& blocks : by_head) {
        detail::keep_common_deltas(by_head.front(), blocks);
      }
      by_head.resize(1);
    }
    for (std::size_t head = 0; head < by_head.size(); ++head) {
      for (const move_block& block : by_head[head]) {
        groups.add(row, agree ? std::nullopt : std::optional(static_cast<std::int64_t>(head)), block);
      }
    }
  }
  return groups.blocks();
}

}  // namespace kvtransfer
