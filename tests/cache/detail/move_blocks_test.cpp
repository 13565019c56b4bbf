
#include <algorithm>
#include <random>
#include <vector>

#include "kvtransfer/cache/detail/move_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

namespace {

constexpr slot_state rotated_key = slot_state::rotated();
constexpr slot_state plain_key = slot_state::unrotated();
constexpr slot_state no_key = slot_state::padding();

/// Runs of consecutive positions from 0 on, one for each (count, state).
position_row row_of(const std::vector<std::pair<std::int64_t, slot_state>>& pieces) {
  position_row row;
  for (const auto& [count, state] : pieces) {
    row.append(position_row::consecutive(row.size(), count, state));
  }
  return row;
}

position_map rows_of(std::vector<position_row> rows) {
  const auto batch = static_cast<std::int64_t>(rows.size());
  return position_map(1, batch, 1, std::move(rows));
}

/// The blocks of whole tensors, sequence b in row b.
std::vector<move_block> move_blocks(const position_map& written, const position_map& wanted) {
  const placed_positions placed = placed_in_rows(written, wanted);
  return detail::move_blocks(placed.stored, placed.target, placed.spans, placed.padding);
}

/// The blocks of a storage with a table.
std::vector<move_block> row_blocks(const position_map& written, const position_map& wanted,
                                   const std::vector<layouts::slot_span>& spans) {
  return detail::move_blocks(written, wanted, spans, padding_moves::never);
}

/// Few states, so that rows of the same length often change state at the same slots.
position_row random_states(std::mt19937& random, std::int64_t count, bool with_padding) {
  const slot_state states[] = {rotated_key, slot_state::rotated(1), plain_key, no_key};
  position_row row;
  slot_state state = rotated_key;
  for (std::int64_t slot = 0; slot < count; ++slot) {
    if (random() % 4 == 0) {
      state = states[random() % (with_padding ? 4 : 3)];
    }
    row.append({static_cast<std::int64_t>(random() % 3), 1, 1, state});
  }
  return row;
}

position_row keys_then_padding(std::int64_t first, std::int64_t keys, std::int64_t padding,
                               std::int32_t specification = 0) {
  position_row row = position_row::consecutive(first, keys, slot_state::rotated(specification));
  row.append({0, padding, 0, slot_state::padding()});
  return row;
}

/// Rows of four slots, row b in row b of the storage.
std::vector<move_block> blocks_in_place(const position_map& written, const position_map& wanted) {
  std::vector<layouts::slot_span> spans;
  for (std::int64_t b = 0; b < written.batch(); ++b) {
    spans.push_back({b, 0, b, 0, 4});
  }
  return row_blocks(written, wanted, spans);
}

position_map storage_rows(std::vector<position_row> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  return position_map(1, count, 1, std::move(rows));
}

}  // namespace

TEST_CASE("keys that all move equally far are one block with a delta", "[cache][move_blocks]") {
  const position_map written = position_map::consecutive(0, 6, 3);
  const auto blocks = move_blocks(written, written.shifted(4));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{0, 1, 2});
  CHECK_FALSE(blocks[0].head.has_value());
  CHECK(blocks[0].slots.begin == 0);
  CHECK(blocks[0].slots.end() == 6);
  CHECK(blocks[0].move.delta == 4);
}

TEST_CASE("rows that move unequally far are still one block, without a delta", "[cache][move_blocks]") {
  const position_map written = position_map::consecutive(0, 6, 2);
  const position_map wanted = rows_of({position_row::consecutive(4, 6), position_row::consecutive(5, 6)});
  const auto blocks = move_blocks(written, wanted);
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{0, 1});
  CHECK_FALSE(blocks[0].move.delta.has_value());
}

TEST_CASE("streams that move unequally far leave no delta", "[cache][move_blocks]") {
  const position_map written(2, 1, 1, {position_row::consecutive(0, 3), position_row::consecutive(0, 3)});
  const position_map wanted(2, 1, 1, {position_row::consecutive(1, 3), position_row::consecutive(2, 3)});
  REQUIRE(move_blocks(written, wanted).size() == 1);
  CHECK_FALSE(move_blocks(written, wanted)[0].move.delta.has_value());
  CHECK(move_blocks(written, written.shifted(7))[0].move.delta == 7);
}

TEST_CASE("a repeated position that becomes consecutive ones has no delta", "[cache][move_blocks]") {
  const auto blocks =
      move_blocks(rows_of({position_row::listed({5, 5, 5})}), rows_of({position_row::listed({5, 6, 7})}));
  REQUIRE(blocks.size() == 1);
  CHECK_FALSE(blocks[0].move.delta.has_value());
}

TEST_CASE("a row is cut where the way its keys are written changes", "[cache][move_blocks]") {
  const position_map written = rows_of({row_of({{2, rotated_key}, {3, slot_state::rotated(1)}, {1, plain_key}})});
  const auto blocks = move_blocks(written, written);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[1].slots.begin == 2);
  CHECK(blocks[1].slots.end() == 5);
  CHECK(blocks[1].move.from == slot_state::rotated(1));
  CHECK(blocks[2].move.from == plain_key);
}

TEST_CASE("rows that differ in padding alone move together", "[cache][move_blocks]") {
  const position_map written = rows_of(
      {row_of({{6, rotated_key}}), row_of({{4, no_key}, {2, rotated_key}}), row_of({{5, rotated_key}, {1, no_key}})});
  const auto blocks = move_blocks(written, written.shifted(9));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].slots.begin == 0);
  CHECK(blocks[0].slots.end() == 6);
  CHECK(blocks[0].move.delta == 9);
}

TEST_CASE("rows that change at different slots move one by one", "[cache][move_blocks]") {
  const position_map written =
      rows_of({row_of({{2, rotated_key}, {2, plain_key}}), row_of({{3, rotated_key}, {1, plain_key}})});
  const auto blocks = move_blocks(written, written);
  REQUIRE(blocks.size() == 4);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{0});
  CHECK(blocks[2].rows == std::vector<std::int64_t>{1});
  CHECK(blocks[2].slots.end() == 3);
  CHECK_FALSE(blocks[2].head.has_value());
}

TEST_CASE("heads that change at different slots move one by one", "[cache][move_blocks]") {
  const position_map written(1, 1, 2, {row_of({{2, rotated_key}, {2, plain_key}}), row_of({{4, rotated_key}})});
  const auto blocks = move_blocks(written, written);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[2].head == 1);
}

TEST_CASE("a row of padding needs no move, and leaves the others to move one by one", "[cache][move_blocks]") {
  const position_map written = rows_of({row_of({{3, no_key}}), row_of({{3, rotated_key}})});
  const auto blocks = move_blocks(written, written.shifted(1));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{1});
}

TEST_CASE("maps of different sizes are refused", "[cache][move_blocks]") {
  const position_map map = position_map::consecutive(0, 3, 2);
  CHECK_THROWS_AS(move_blocks(map, position_map::consecutive(0, 4, 2)), shape_error);
  CHECK_THROWS_AS(move_blocks(map, position_map::consecutive(0, 3, 1)), shape_error);
}

TEST_CASE("random rows: every key is in one block, which goes its way and no other", "[cache][move_blocks]") {
  std::mt19937 random(77);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const auto batch = static_cast<std::int64_t>(1 + random() % 3);
    const auto heads = static_cast<std::int64_t>(1 + random() % 2);
    const auto size = static_cast<std::int64_t>(random() % 9);
    std::vector<position_row> before;
    std::vector<position_row> after;
    for (std::int64_t i = 0; i < batch * heads; ++i) {
      before.push_back(random_states(random, size, true));
      position_row wanted;  // padding where it was, all else at random
      const std::vector<position_run> states = random_states(random, size, false).one_run_per_slot();
      const std::vector<position_run> slots = before.back().one_run_per_slot();
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        wanted.append(slots[slot].state.is_padding() ? slots[slot] : states[slot]);
      }
      after.push_back(wanted);
    }
    const position_map written(1, batch, heads, before);
    const position_map wanted(1, batch, heads, after);
    const auto blocks = move_blocks(written, wanted);
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t h = 0; h < heads; ++h) {
        const auto from = written.row(0, b, h).one_run_per_slot();
        const auto to = wanted.row(0, b, h).one_run_per_slot();
        for (std::int64_t slot = 0; slot < size; ++slot) {
          const auto index = static_cast<std::size_t>(slot);
          std::vector<move_block> holding;
          for (const move_block& block : blocks) {
            if (std::ranges::count(block.rows, b) == 1 && block.head.value_or(h) == h && block.slots.begin <= slot &&
                slot < block.slots.end()) {
              holding.push_back(block);
            }
          }
          if (from[index].state.is_padding()) {
            REQUIRE(holding.size() <= 1);
            continue;
          }
          REQUIRE(holding.size() == 1);
          REQUIRE(holding[0].move.from == from[index].state);
          REQUIRE(holding[0].move.to == to[index].state);
          REQUIRE(holding[0].move.delta.value_or(to[index].first - from[index].first) ==
                  to[index].first - from[index].first);
        }
      }
    }
  }
}

TEST_CASE("spans that are alike make one block, wherever their slots come from", "[cache][move_blocks]") {
  const position_map written(1, 2, 1, {position_row::consecutive(0, 10), keys_then_padding(50, 4, 6)});
  const std::vector<layouts::slot_span> spans = {{0, 0, 7, 0, 4}, {0, 4, 2, 0, 4}, {0, 8, 5, 0, 2}, {1, 0, 3, 0, 4}};
  const std::vector<move_block> blocks = row_blocks(written, written.shifted(3), spans);
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{7, 2, 3});
  CHECK((blocks[0].pieces == std::vector<sequence_piece>{{0, 0, 8}, {1, 0, 4}}));
  CHECK(blocks[0].slots.end() == 4);
  CHECK(blocks[0].move.delta == 3);
  CHECK_FALSE(blocks[0].head);
  CHECK(blocks[1].rows == std::vector<std::int64_t>{5});
  CHECK((blocks[1].pieces == std::vector<sequence_piece>{{0, 8, 2}}));
  CHECK(blocks[1].slots.end() == 2);
}

TEST_CASE("sequences packed one after another make one block, whatever their positions", "[cache][move_blocks]") {
  const position_map written(1, 2, 1, {keys_then_padding(0, 3, 1), keys_then_padding(70, 4, 0)});
  const std::vector<layouts::slot_span> spans = {{0, 0, 0, 0, 3}, {1, 0, 0, 3, 4}};
  const std::vector<move_block> alike = row_blocks(written, written.shifted(5), spans);
  REQUIRE(alike.size() == 1);
  CHECK(alike[0].rows == std::vector<std::int64_t>{0});
  CHECK((alike[0].pieces == std::vector<sequence_piece>{{0, 0, 3}, {1, 0, 4}}));
  CHECK(alike[0].slots.end() == 7);
  CHECK(alike[0].move.delta == 5);
  const position_map wanted(1, 2, 1, {keys_then_padding(10, 3, 1), keys_then_padding(71, 4, 0)});
  const std::vector<move_block> apart = row_blocks(written, wanted, spans);
  REQUIRE(apart.size() == 1);
  CHECK_FALSE(apart[0].move.delta);
}

TEST_CASE("packed sequences with a gap between them make two blocks", "[cache][move_blocks]") {
  const position_map written(1, 2, 1, {keys_then_padding(0, 4, 0), keys_then_padding(70, 4, 0)});
  CHECK(row_blocks(written, written.shifted(5), {{0, 0, 0, 0, 4}, {1, 0, 0, 5, 4}}).size() == 2);
}

TEST_CASE("padding belongs to no block", "[cache][move_blocks]") {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append({0, 2, 1});
  row.append({0, 1, 0, slot_state::padding()});
  const position_map written(row);
  const std::vector<move_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].slots.begin == 1);
  CHECK(blocks[0].slots.end() == 3);
  CHECK(blocks[0].pieces.front().slots.begin == 1);
}

TEST_CASE("a delta stays where all rows of a block share it", "[cache][move_blocks]") {
  const position_map written = storage_rows({keys_then_padding(0, 4, 0), keys_then_padding(4, 4, 0)});
  const position_map wanted = storage_rows({keys_then_padding(1, 4, 0), keys_then_padding(6, 4, 0)});
  const std::vector<move_block> blocks = blocks_in_place(written, wanted);
  REQUIRE(blocks.size() == 1);
  CHECK_FALSE(blocks[0].move.delta);
}

TEST_CASE("keys of two specifications make two blocks", "[cache][move_blocks]") {
  position_row mixed = position_row::consecutive(0, 3, slot_state::rotated(0));
  mixed.append({3, 1, 1, slot_state::rotated(1)});
  const position_map written = storage_rows({mixed, keys_then_padding(4, 4, 0, 1)});
  const std::vector<move_block> blocks = blocks_in_place(written, written);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].move.from == slot_state::rotated(0));
  CHECK(blocks[0].slots.end() == 3);
  CHECK(blocks[1].slots.begin == 3);
  CHECK(blocks[2].move.from == slot_state::rotated(1));
}

TEST_CASE("heads that differ in padding make blocks of their own", "[cache][move_blocks]") {
  const position_map written(1, 1, 2, {keys_then_padding(0, 4, 0), keys_then_padding(0, 3, 1)});
  const std::vector<move_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].head == 0);
  CHECK(blocks[0].slots.end() == 4);
  CHECK(blocks[1].head == 1);
  CHECK(blocks[1].slots.end() == 3);
}

TEST_CASE("heads that differ in positions alone share a block", "[cache][move_blocks]") {
  const position_map written(1, 1, 2, {keys_then_padding(0, 4, 0), keys_then_padding(9, 4, 0)});
  const std::vector<move_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].move.delta == 1);
}

TEST_CASE("streams that move differently leave no shared delta", "[cache][move_blocks]") {
  const position_map written(2, 1, 1, {keys_then_padding(0, 4, 0), keys_then_padding(9, 4, 0)});
  const position_map wanted(2, 1, 1, {keys_then_padding(1, 4, 0), keys_then_padding(9, 4, 0)});
  CHECK_FALSE(blocks_in_place(written, wanted).front().move.delta);
}

TEST_CASE("no slots make no blocks", "[cache][move_blocks]") {
  CHECK(row_blocks(position_map(), position_map(), {}).empty());
}
