#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("the slots with keys are those that any head holds", "[tensor][layouts][key_slots]") {
  position_row first = position_row::consecutive(0, 2);
  first.append({0, 4, 0, slot_state::padding()});
  position_row second = position_row::consecutive(0, 1, slot_state::padding());
  second.append({5, 2, 1});
  second.append({0, 1, 0, slot_state::padding()});
  second.append({9, 1, 1});
  second.append({0, 1, 0, slot_state::padding()});
  const auto found = layouts::detail::key_slots_of(position_map(1, 1, 2, {first, second}), 0);
  REQUIRE(found.size() == 2);
  CHECK(found[0].begin == 0);
  CHECK(found[0].count == 3);
  CHECK(found[1].begin == 4);
  CHECK(found[1].count == 1);
}

TEST_CASE("a row of padding has no slots with keys", "[tensor][layouts][key_slots]") {
  CHECK(layouts::detail::key_slots_of(position_map(position_row::consecutive(0, 3, slot_state::padding())), 0).empty());
}
