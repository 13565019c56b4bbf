#include "kvtransfer/core/position_row.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("a slot is rotated, unrotated or padding, and exactly one of them", "[core][position_run]") {
  const auto kinds = [](slot_state state) { return state.is_rotated() + state.is_unrotated() + state.is_padding(); };
  CHECK(kinds(slot_state::rotated()) == 1);
  CHECK(kinds(slot_state::unrotated()) == 1);
  CHECK(kinds(slot_state::padding()) == 1);
}

TEST_CASE("rotated slots of two specifications differ", "[core][position_run]") {
  CHECK(slot_state::rotated(1).specification() == 1);
  CHECK(slot_state::rotated() == slot_state::rotated(0));
  CHECK_FALSE(slot_state::rotated(0) == slot_state::rotated(1));
}

TEST_CASE("a run counts up by its step", "[core][position_run]") {
  CHECK(position_run{5, 3, 1}.at(2) == 7);
  CHECK(position_run{5, 3, 0}.at(2) == 5);
}
