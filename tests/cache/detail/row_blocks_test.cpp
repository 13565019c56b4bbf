#include "kvtransfer/cache/detail/row_blocks.hpp"

#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

namespace {

position_row keys_then_padding(std::int64_t first, std::int64_t keys, std::int64_t padding, std::int32_t regime = 0) {
  position_row row = position_row::consecutive(first, keys, slot_state::rotated(regime));
  row.append({0, padding, 0, slot_state::padding()});
  return row;
}

/// Rows of four slots, row b in row b of the storage.
std::vector<row_block> blocks_in_place(const position_map& written, const position_map& wanted) {
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

TEST_CASE("spans that are alike make one block, wherever their slots come from", "[cache][row_blocks]") {
  const position_map written(1, 2, 1, {position_row::consecutive(0, 10), keys_then_padding(50, 4, 6)});
  const std::vector<layouts::slot_span> spans = {{0, 0, 7, 0, 4}, {0, 4, 2, 0, 4}, {0, 8, 5, 0, 2}, {1, 0, 3, 0, 4}};
  const std::vector<row_block> blocks = row_blocks(written, written.shifted(3), spans);
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].rows == std::vector<std::int64_t>{7, 2, 3});
  CHECK((blocks[0].pieces == std::vector<row_piece>{{0, 0, 8}, {1, 0, 4}}));
  CHECK(blocks[0].end == 4);
  CHECK(blocks[0].delta == 3);
  CHECK_FALSE(blocks[0].head);
  CHECK(blocks[1].rows == std::vector<std::int64_t>{5});
  CHECK((blocks[1].pieces == std::vector<row_piece>{{0, 8, 2}}));
  CHECK(blocks[1].end == 2);
}

TEST_CASE("sequences packed one after another make one block, whatever their positions", "[cache][row_blocks]") {
  const position_map written(1, 2, 1, {keys_then_padding(0, 3, 1), keys_then_padding(70, 4, 0)});
  const std::vector<layouts::slot_span> spans = {{0, 0, 0, 0, 3}, {1, 0, 0, 3, 4}};
  const std::vector<row_block> alike = row_blocks(written, written.shifted(5), spans);
  REQUIRE(alike.size() == 1);
  CHECK(alike[0].rows == std::vector<std::int64_t>{0});
  CHECK((alike[0].pieces == std::vector<row_piece>{{0, 0, 3}, {1, 0, 4}}));
  CHECK(alike[0].end == 7);
  CHECK(alike[0].delta == 5);
  const position_map wanted(1, 2, 1, {keys_then_padding(10, 3, 1), keys_then_padding(71, 4, 0)});
  const std::vector<row_block> apart = row_blocks(written, wanted, spans);
  REQUIRE(apart.size() == 1);
  CHECK_FALSE(apart[0].delta);
}

TEST_CASE("packed sequences with a gap between them make two blocks", "[cache][row_blocks]") {
  const position_map written(1, 2, 1, {keys_then_padding(0, 4, 0), keys_then_padding(70, 4, 0)});
  CHECK(row_blocks(written, written.shifted(5), {{0, 0, 0, 0, 4}, {1, 0, 0, 5, 4}}).size() == 2);
}

TEST_CASE("padding belongs to no block", "[cache][row_blocks]") {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append({0, 2, 1});
  row.append({0, 1, 0, slot_state::padding()});
  const position_map written(row);
  const std::vector<row_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].begin == 1);
  CHECK(blocks[0].end == 3);
  CHECK(blocks[0].pieces.front().begin == 1);
}

TEST_CASE("a delta stays where all rows of a block share it", "[cache][row_blocks]") {
  const position_map written = storage_rows({keys_then_padding(0, 4, 0), keys_then_padding(4, 4, 0)});
  const position_map wanted = storage_rows({keys_then_padding(1, 4, 0), keys_then_padding(6, 4, 0)});
  const std::vector<row_block> blocks = blocks_in_place(written, wanted);
  REQUIRE(blocks.size() == 1);
  CHECK_FALSE(blocks[0].delta);
}

TEST_CASE("keys of two regimes make two blocks", "[cache][row_blocks]") {
  position_row mixed = position_row::consecutive(0, 3, slot_state::rotated(0));
  mixed.append({3, 1, 1, slot_state::rotated(1)});
  const position_map written = storage_rows({mixed, keys_then_padding(4, 4, 0, 1)});
  const std::vector<row_block> blocks = blocks_in_place(written, written);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].from == slot_state::rotated(0));
  CHECK(blocks[0].end == 3);
  CHECK(blocks[1].begin == 3);
  CHECK(blocks[2].from == slot_state::rotated(1));
}

TEST_CASE("heads that differ in padding make blocks of their own", "[cache][row_blocks]") {
  const position_map written(1, 1, 2, {keys_then_padding(0, 4, 0), keys_then_padding(0, 3, 1)});
  const std::vector<row_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 2);
  CHECK(blocks[0].head == 0);
  CHECK(blocks[0].end == 4);
  CHECK(blocks[1].head == 1);
  CHECK(blocks[1].end == 3);
}

TEST_CASE("heads that differ in positions alone share a block", "[cache][row_blocks]") {
  const position_map written(1, 1, 2, {keys_then_padding(0, 4, 0), keys_then_padding(9, 4, 0)});
  const std::vector<row_block> blocks = blocks_in_place(written, written.shifted(1));
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].delta == 1);
}

TEST_CASE("streams that move differently leave no shared delta", "[cache][row_blocks]") {
  const position_map written(2, 1, 1, {keys_then_padding(0, 4, 0), keys_then_padding(9, 4, 0)});
  const position_map wanted(2, 1, 1, {keys_then_padding(1, 4, 0), keys_then_padding(9, 4, 0)});
  CHECK_FALSE(blocks_in_place(written, wanted).front().delta);
}

TEST_CASE("no slots make no blocks", "[cache][row_blocks]") {
  CHECK(row_blocks(position_map(), position_map(), {}).empty());
}
