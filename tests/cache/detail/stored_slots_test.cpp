#include <vector>

#include "kvtransfer/cache/layer_view.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;
using layouts::slot_table;

namespace {

/// Padding, two keys, padding, one key.
position_row two_keys_and_one() {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append({0, 2, 1});
  row.append({0, 1, 0, slot_state::padding()});
  row.append({2, 1, 1});
  return row;
}

bool is_stored(const position_map& positions, std::vector<layouts::slot_span> spans) {
  const slot_table table(positions.batch(), positions.size(), std::move(spans));
  return message_of<frame_error>([&] { require_keys_stored(positions, table, "test"); }).empty();
}

}  // namespace

TEST_CASE("every key must be stored, padding need not", "[cache][stored_slots]") {
  const position_map positions(1, 2, 1, {two_keys_and_one(), two_keys_and_one()});
  CHECK(is_stored(positions, {{0, 0, 0, 0, 5}, {1, 0, 1, 0, 5}}));
  CHECK(is_stored(positions, {{0, 1, 0, 0, 2}, {0, 4, 0, 2, 1}, {1, 1, 1, 0, 4}}));
  CHECK_FALSE(is_stored(positions, {{0, 1, 0, 0, 2}, {0, 4, 0, 2, 1}}));
  CHECK_FALSE(is_stored(positions, {{1, 0, 0, 0, 5}}));
  CHECK_FALSE(is_stored(positions, {{0, 2, 0, 0, 3}, {1, 0, 1, 0, 5}}));
  CHECK_FALSE(is_stored(positions, {{0, 0, 0, 0, 2}, {0, 3, 0, 2, 2}, {1, 0, 1, 0, 5}}));
  CHECK_FALSE(is_stored(positions, {{0, 0, 0, 0, 5}, {1, 0, 1, 0, 4}}));
}

TEST_CASE("a key of any head must be stored", "[cache][stored_slots]") {
  const position_map positions(
      1, 1, 2, {position_row::consecutive(0, 2, slot_state::padding()), position_row::consecutive(0, 2)});
  CHECK(is_stored(positions, {{0, 0, 0, 0, 2}}));
  CHECK_FALSE(is_stored(positions, {{0, 0, 0, 0, 1}}));
}

TEST_CASE("rows without slots store nothing and need nothing", "[cache][stored_slots]") {
  CHECK(is_stored(position_map::consecutive(0, 0, 3), {}));
  CHECK(is_stored(position_map(position_row::consecutive(0, 4, slot_state::padding()), 2), {}));
}
