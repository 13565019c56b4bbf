#include "kvtransfer/cache/file/detail/slot_tensors.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

position_map put_together(const slot_tensors& slots, std::size_t specifications) {
  return slot_reader(slots.shape, std::as_bytes(std::span(slots.positions)), std::as_bytes(std::span(slots.states)),
                     specifications)
      .read("FILE", "positions", "states");
}

}  // namespace

TEST_CASE("positions are spread out slot by slot", "[cache][file]") {
  const slot_tensors slots = spread_out(unequal_rows(4).positions);
  CHECK(slots.shape == std::vector<std::int64_t>{1, 2, 1, 4});
  CHECK(slots.positions == std::vector<std::int64_t>{0, 1, 2, 3, 0, 0, 100, 101});
  CHECK(slots.states == std::vector<std::int32_t>{0, 0, 0, 0, -2, -2, 0, 0});
}

TEST_CASE("positions come back, whatever their runs, states, heads and streams", "[cache][file]") {
  for (const layer_frame& frame : {unequal_rows(), positions_by_head(), three_streams()}) {
    CHECK(put_together(spread_out(frame.positions), frame.specifications.size()) == frame.positions);
  }
  const position_map empty(1, 3, 2, std::vector<position_row>(6));
  CHECK(put_together(spread_out(empty), 0) == empty);
}

TEST_CASE("what stands at padding does not matter", "[cache][file]") {
  slot_tensors slots = spread_out(unequal_rows(4).positions);
  slots.positions[4] = 77;
  CHECK(put_together(slots, 1) == unequal_rows(4).positions);
}

TEST_CASE("states are read once for all streams", "[cache][file]") {
  const slot_tensors slots = spread_out(three_streams().positions);
  CHECK(slots.positions.size() == 24);
  CHECK(slots.states.size() == 8);
}

TEST_CASE("positions that angles cannot be computed for are refused on both ways", "[cache][file]") {
  constexpr std::int64_t limit = cache_format::largest_position;
  CHECK_NOTHROW(spread_out(position_map(position_row::listed({limit, -limit}))));
  CHECK_THROWS_AS(spread_out(position_map(position_row::listed({limit + 1}))), value_error);
  CHECK_THROWS_AS(spread_out(position_map(position_row::listed({std::numeric_limits<std::int64_t>::min()}))),
                  value_error);
  slot_tensors slots = spread_out(position_map::consecutive(0, 2));
  slots.positions[1] = limit + 1;
  CHECK(message_of<file_error>([&] { put_together(slots, 1); }) ==
        "FILE: positions[1]: expected a position within 2^53 of 0, got 9007199254740993");
}
