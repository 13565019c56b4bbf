#include <vector>

#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Rows of five and three keys in blocks 6, 1 and 3 of four slots.
layouts::slot_table five_and_three() { return {2, 5, {{0, 0, 6, 0, 4}, {0, 4, 1, 0, 1}, {1, 2, 3, 0, 3}}, 4}; }

/// Positions 0 to 4, and 12 to 14 behind two slots of padding.
position_map five_and_three_positions() {
  position_row second = position_row::consecutive(0, 2, slot_state::padding());
  second.append({12, 3, 1});
  return position_map(1, 2, 1, {position_row::consecutive(0, 5), second});
}

position_row padded_to_four(position_row row) {
  row.append({0, 4 - row.size(), 0, slot_state::padding()});
  return row;
}

}  // namespace

TEST_CASE("positions go where their slots are stored, and all else is padding", "[cache][row_positions]") {
  const row_positions lowered = stored_positions_of(five_and_three_positions(), five_and_three(), 4, "test");
  REQUIRE(lowered.spans.size() == 3);
  CHECK((lowered.spans[1] == layouts::slot_span{1, 0, 3, 0, 4}));
  CHECK(lowered.spans[2].block == 6);
  CHECK(lowered.positions.batch() == 3);
  CHECK(lowered.positions.row(0, 0, 0) == padded_to_four(position_row::consecutive(4, 1)));
  CHECK(lowered.positions.row(0, 1, 0) == padded_to_four(position_row::consecutive(12, 3)));
  CHECK(lowered.positions.row(0, 2, 0) == position_row::consecutive(0, 4));
}

TEST_CASE("streams and heads keep their own positions", "[cache][row_positions]") {
  std::vector<position_row> rows;
  for (std::int64_t i = 0; i < 2 * 2 * 3; ++i) {
    rows.push_back(position_row::consecutive(100 * i, 5));
  }
  const position_map positions(2, 2, 3, rows);
  const layouts::slot_table swapped(2, 5, {{0, 0, 1, 0, 5}, {1, 0, 0, 0, 5}});
  const row_positions lowered = stored_positions_of(positions, swapped, 5, "test");
  for (std::int64_t stream = 0; stream < 2; ++stream) {
    for (std::int64_t head = 0; head < 3; ++head) {
      CHECK(lowered.positions.row(stream, 0, head) == positions.row(stream, 1, head));
      CHECK(lowered.positions.row(stream, 1, head) == positions.row(stream, 0, head));
    }
  }
}

TEST_CASE("rows of a batch may share a place where they agree on its key", "[cache][row_positions]") {
  const layouts::slot_table shared(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 0, 2}});
  const row_positions lowered = stored_positions_of(position_map::consecutive(4, 2, 2), shared, 2, "test");
  CHECK(lowered.positions.row(0, 0, 0) == position_row::consecutive(4, 2));
  const position_map apart(1, 2, 1, {position_row::consecutive(4, 2), position_row::consecutive(5, 2)});
  CHECK_THAT(message_of<frame_error>([&] { stored_positions_of(apart, shared, 2, "test"); }),
             EndsWith("got a key at 4 in one row and at 5 in another"));
  const position_map half(1, 2, 1,
                          {position_row::consecutive(0, 2, slot_state::padding()), position_row::consecutive(5, 2)});
  CHECK(stored_positions_of(half, shared, 2, "test").positions.row(0, 0, 0) == position_row::consecutive(5, 2));
}

TEST_CASE("a table without slots has no rows", "[cache][row_positions]") {
  const row_positions lowered =
      stored_positions_of(position_map::consecutive(0, 0, 2), layouts::slot_table(2, 0, {}), 4, "test");
  CHECK(lowered.spans.empty());
  CHECK(lowered.positions.batch() == 0);
}
