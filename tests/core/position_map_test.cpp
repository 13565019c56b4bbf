#include "kvtransfer/core/position_map.hpp"

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// Two rows of two heads, all different.
position_map two_rows_two_heads() {
  return position_map(1, 2, 2,
                      {position_row::listed({0, 1, 2}), position_row::listed({0, 2, 4}),
                       position_row::listed({5, 6, 7}), position_row::listed({9, 9, 9})});
}

}  // namespace

TEST_CASE("an empty map has no slots", "[core][position_map]") {
  CHECK(position_map().size() == 0);
  CHECK(position_map().rows().empty());
  CHECK(position_map().batch() == 0);
  CHECK_THROWS_AS(position_map().select_batch({0}), shape_error);
}

TEST_CASE("consecutive fills every sequence alike, heads shared", "[core][position_map]") {
  const position_map map = position_map::consecutive(4, 3, 2);
  CHECK(map.streams() == 1);
  CHECK(map.batch() == 2);
  CHECK(map.heads() == 1);
  CHECK(map.size() == 3);
  CHECK(map.row(0, 1, 0) == position_row::consecutive(4, 3));
}

TEST_CASE("a row is found by stream, batch and head", "[core][position_map]") {
  const position_map map = two_rows_two_heads();
  CHECK(map.row(0, 0, 1).positions() == std::vector<std::int64_t>{0, 2, 4});
  CHECK(map.row(0, 1, 0).positions() == std::vector<std::int64_t>{5, 6, 7});
}

TEST_CASE("any head may be asked for where heads share their positions", "[core][position_map]") {
  CHECK(position_map::consecutive(4, 3).row(0, 0, 7) == position_row::consecutive(4, 3));
}

TEST_CASE("a wrong number of rows, or rows of unequal length, are refused", "[core][position_map]") {
  const position_row three = position_row::consecutive(0, 3);
  CHECK_THROWS_AS(position_map(1, 2, 1, {three}), shape_error);
  CHECK_THROWS_AS(position_map(0, 1, 1, {}), shape_error);
  CHECK_THROWS_AS(position_map(1, 2, 1, {three, position_row::consecutive(0, 2)}), shape_error);
}

TEST_CASE("shift, slice and gather act on every row", "[core][position_map]") {
  const position_map map = two_rows_two_heads();
  CHECK(map.shifted(10).row(0, 1, 1).positions() == std::vector<std::int64_t>{19, 19, 19});
  CHECK(map.shifted(10).shifted(-10) == map);
  CHECK(map.slice(1, 3).row(0, 0, 1).positions() == std::vector<std::int64_t>{2, 4});
  CHECK(map.gather({2, 0}).row(0, 1, 0).positions() == std::vector<std::int64_t>{7, 5});
}

TEST_CASE("slices put side by side are the whole", "[core][position_map]") {
  const position_map map = two_rows_two_heads();
  CHECK(map.slice(0, 1).followed_by(map.slice(1, 3)) == map);
}

TEST_CASE("an empty map is neutral in followed_by", "[core][position_map]") {
  const position_map map = two_rows_two_heads();
  CHECK(position_map().followed_by(map) == map);
  CHECK(map.followed_by(position_map()) == map);
}

TEST_CASE("followed_by gives shared heads to each head where the other map has its own", "[core][position_map]") {
  const position_map shared = position_map::consecutive(100, 1, 2);
  const position_map own = two_rows_two_heads();
  CHECK(own.followed_by(shared).row(0, 1, 1).positions() == std::vector<std::int64_t>{9, 9, 9, 100});
  CHECK(shared.followed_by(own).row(0, 0, 1).positions() == std::vector<std::int64_t>{100, 0, 2, 4});
}

TEST_CASE("followed_by refuses another batch or another number of streams", "[core][position_map]") {
  const position_map text = position_map::consecutive(0, 2);
  CHECK_THROWS_AS(text.followed_by(position_map::consecutive(0, 2, 3)), shape_error);
  CHECK_THROWS_AS(text.followed_by(position_map(3, 1, 1, std::vector(3, position_row::consecutive(0, 2)))),
                  shape_error);
}

TEST_CASE("the streams of a slot are in one state", "[core][position_map]") {
  const position_row keys = position_row::consecutive(0, 2);
  const position_row padding = position_row::consecutive(0, 2, slot_state::padding());
  CHECK_NOTHROW(position_map(2, 2, 1, {keys, padding, keys.shifted(5), padding}));
  CHECK_THROWS_AS(position_map(2, 2, 1, {keys, padding, padding, keys}), shape_error);
  CHECK_THROWS_AS(position_map(2, 1, 1, {keys, position_row::consecutive(0, 2, slot_state::rotated(1))}), shape_error);
}

TEST_CASE("positions go into the states of another map, head by head", "[core][position_map]") {
  position_row behind_padding = position_row::consecutive(0, 1, slot_state::padding());
  behind_padding.append(position_row::consecutive(0, 2));
  const position_map states(1, 1, 2, {position_row::consecutive(0, 3), behind_padding});
  const position_map mixed = position_map::consecutive(40, 3).with_states_of(states);
  CHECK(mixed.heads() == 2);
  CHECK(mixed.row(0, 0, 0).positions() == std::vector<std::int64_t>{40, 41, 42});
  CHECK(mixed.row(0, 0, 1).positions() == std::vector<std::int64_t>{0, 41, 42});
  CHECK_THROWS_AS(position_map::consecutive(0, 4).with_states_of(states), shape_error);
  CHECK_THROWS_AS(position_map::consecutive(0, 3, 2).with_states_of(states), shape_error);
}

TEST_CASE("keys can be moved where the same slots hold keys", "[core][position_map]") {
  position_row behind_padding = position_row::consecutive(0, 1, slot_state::padding());
  behind_padding.append(position_row::consecutive(0, 2));
  const position_map by_head(1, 1, 2, {position_row::consecutive(0, 3), behind_padding});
  const position_map shared(1, 1, 1, {behind_padding});
  CHECK(by_head.has_keys_of(by_head.shifted(7)));
  CHECK(shared.has_keys_of(position_map(1, 1, 2, {behind_padding, behind_padding.shifted(3)})));
  CHECK(position_map(1, 1, 2, {behind_padding, behind_padding.shifted(3)}).has_keys_of(shared));
  CHECK_FALSE(shared.has_keys_of(by_head));
  CHECK_FALSE(by_head.has_keys_of(shared));
  CHECK_FALSE(shared.has_keys_of(position_map::consecutive(0, 3)));
  CHECK_FALSE(shared.has_keys_of(position_map(2, 1, 1, {behind_padding, behind_padding})));
  CHECK_FALSE(by_head.has_keys_of(position_map(1, 1, 3, {behind_padding, behind_padding, behind_padding})));
  CHECK_FALSE(shared.has_keys_of(position_map(1, 2, 1, {behind_padding, behind_padding})));
  CHECK_FALSE(shared.has_keys_of(shared.slice(0, 2)));
}

TEST_CASE("with_heads repeats shared positions and refuses to change a number of heads", "[core][position_map]") {
  const position_map map = position_map::consecutive(0, 2, 2).with_heads(4);
  CHECK(map.heads() == 4);
  CHECK(map.rows().size() == 8);
  CHECK(map.row(0, 1, 3) == position_row::consecutive(0, 2));
  CHECK(map.with_heads(4) == map);
  CHECK_THROWS_AS(map.with_heads(2), shape_error);
}

TEST_CASE("select_batch picks, repeats and reorders rows, with all their streams and heads", "[core][position_map]") {
  const position_map picked = two_rows_two_heads().select_batch({1, 1, 0});
  CHECK(picked.batch() == 3);
  CHECK(picked.row(0, 1, 1).positions() == std::vector<std::int64_t>{9, 9, 9});
  CHECK(picked.row(0, 2, 1).positions() == std::vector<std::int64_t>{0, 2, 4});

  const position_map streams(
      2, 2, 1,
      {position_row::listed({0}), position_row::listed({1}), position_row::listed({2}), position_row::listed({3})});
  CHECK(streams.select_batch({1}).row(1, 0, 0).positions() == std::vector<std::int64_t>{3});
  CHECK_THROWS_AS(streams.select_batch({2}), shape_error);
}
