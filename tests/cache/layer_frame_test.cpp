#include "kvtransfer/cache/layer_frame.hpp"

#include <string>
#include <vector>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const rotary_specification short_specification = plain_specification(4, 1e4);
const rotary_specification long_specification = plain_specification(4, 1e5);

/// Three tokens in the short specification, then two in the long one.
layer_frame two_specifications() {
  position_row row = position_row::consecutive(0, 3);
  row.append(position_row::consecutive(3, 2, slot_state::rotated(1)));
  return {position_map(row), {short_specification, long_specification}};
}

/// The specification of every slot of the first row, whatever its number: `s` for the short specification, `l` for the
/// long one.
std::string specification_of_slots(const layer_frame& frame) {
  std::string all;
  for (const position_run& slot : frame.positions.row(0, 0, 0).one_run_per_slot()) {
    all += frame.specifications.at(static_cast<std::size_t>(slot.state.specification())) == short_specification ? 's'
                                                                                                                : 'l';
  }
  return all;
}

}  // namespace

TEST_CASE("slicing and gathering a layer frame keep each slot's specification", "[cache][layer_frame]") {
  const layer_frame frame = two_specifications();
  CHECK(specification_of_slots(frame.slice(2, 4)) == "sl");
  CHECK(specification_of_slots(frame.gather({4, 0})) == "ls");
  CHECK(frame.gather({4, 0}).positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{4, 0});
}

TEST_CASE("joined frames list equal specifications once, and slots name them by their new number",
          "[cache][layer_frame]") {
  const layer_frame second{position_map::consecutive(5, 1), {long_specification}};
  const layer_frame joined = two_specifications().followed_by(second);
  CHECK(joined.specifications.size() == 2);
  CHECK(specification_of_slots(joined) == "ssslll");

  const layer_frame rotated_round = second.followed_by(two_specifications());
  CHECK(rotated_round.specifications.size() == 2);
  CHECK(specification_of_slots(rotated_round) == "lsssll");
}

TEST_CASE("joined frames keep padding and keys without rotation as they are", "[cache][layer_frame]") {
  position_row row = position_row::consecutive(0, 2, slot_state::padding());
  row.append(position_row::consecutive(0, 1, slot_state::unrotated()));
  const layer_frame joined = two_specifications().followed_by({position_map(row), {}});
  const auto slots = joined.positions.row(0, 0, 0).one_run_per_slot();
  CHECK(slots[6].state.is_padding());
  CHECK(slots[7].state.is_unrotated());
}

TEST_CASE("a new specification joins the specifications, a known one is found", "[cache][layer_frame]") {
  layer_frame frame = two_specifications();
  CHECK(frame.specification_index(long_specification) == 1);
  CHECK(frame.specification_index(plain_specification(4, 3.0)) == 2);
  CHECK(frame.specifications.size() == 3);
}

TEST_CASE("states change for all slots but padding", "[cache][layer_frame]") {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append(position_row::consecutive(0, 2));
  const layer_frame frame{position_map(row), {short_specification}};
  const layer_frame changed = frame.with_states([](slot_state) { return slot_state::unrotated(); });
  const auto slots = changed.positions.row(0, 0, 0).one_run_per_slot();
  CHECK(slots[0].state.is_padding());
  CHECK(slots[1].state.is_unrotated());
  CHECK(slots[2].state.is_unrotated());
}

TEST_CASE("text that follows begins after the furthest row", "[cache][layer_frame]") {
  const layer_frame frame{position_map(1, 2, 1, {position_row::listed({3, 9}), position_row::listed({4, 5})}),
                          {short_specification}};
  CHECK(frame.next_position() == 10);
  CHECK(frame.shifted(5).next_position() == 15);
  CHECK(frame.select_batch({1}).next_position() == 6);
  CHECK(layer_frame{}.next_position() == 0);
  CHECK(layer_frame{position_map(position_row::consecutive(7, 3, slot_state::padding())), {}}.next_position() == 0);
}

TEST_CASE("a slot that names a specification which is not there is refused", "[cache][layer_frame]") {
  layer_frame frame = two_specifications();
  CHECK_NOTHROW(frame.validate());
  frame.specifications.pop_back();
  CHECK_THROWS_AS(frame.validate(), shape_error);
}

TEST_CASE("a specification that no key names tells no two frames apart", "[cache][layer_frame]") {
  const position_map padding(position_row::consecutive(0, 3, slot_state::padding()));
  const position_map keys(position_row::consecutive(0, 3));
  CHECK(layer_frame{padding, {short_specification}} == layer_frame{padding, {long_specification}});
  CHECK(layer_frame{padding, {short_specification}} == layer_frame{padding, {}});
  CHECK(layer_frame{keys, {short_specification, long_specification}} == layer_frame{keys, {short_specification}});
  CHECK_FALSE(layer_frame{keys, {short_specification}} == layer_frame{keys, {long_specification}});
  CHECK_FALSE(layer_frame{keys, {short_specification}} == layer_frame{keys, {}});
}
