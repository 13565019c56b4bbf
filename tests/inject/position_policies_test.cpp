#include "kvtransfer/inject/position_policies.hpp"

#include <limits>
#include <vector>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Source slots at positions 3, 4, 9, then padding.
position_row source_up_to_nine() {
  position_row row = position_row::listed({3, 4, 9});
  row.append(position_row::consecutive(0, 2, slot_state::padding()));
  return row;
}

/// Every second position after the source.
struct every_second {
  static constexpr std::string_view name = "every_second";
  std::int64_t step = 2;
  position_row place(const position_row& source, std::int64_t count) const {
    position_row row;
    row.append({source.last_position().value_or(-step) + step, count, step, slot_state::rotated()});
    return row;
  }
};

}  // namespace

TEST_CASE("offset goes on after the last position held", "[inject][position_policies]") {
  CHECK(place::offset{}.place(source_up_to_nine(), 3) == position_row::consecutive(10, 3));
  CHECK(place::offset{}.place(position_row(), 2) == position_row::consecutive(0, 2));
  CHECK(place::offset{}.place(position_row::listed({9, 3}), 1) == position_row::consecutive(10, 1));
}

TEST_CASE("restart begins at 0 whatever was held", "[inject][position_policies]") {
  CHECK(place::restart{}.place(source_up_to_nine(), 3) == position_row::consecutive(0, 3));
}

TEST_CASE("gap leaves positions free, and none is offset", "[inject][position_policies]") {
  CHECK(place::gap{5}.place(source_up_to_nine(), 3) == position_row::consecutive(15, 3));
  CHECK(place::gap{}.place(source_up_to_nine(), 3) == place::offset{}.place(source_up_to_nine(), 3));
  CHECK(place::gap{5}.place(position_row(), 1) == position_row::consecutive(5, 1));
}

TEST_CASE("a gap is not negative: text would stand among what it follows", "[inject][position_policies]") {
  CHECK(message_of<value_error>([] { place::gap{-20}.place(source_up_to_nine(), 3); }) ==
        "place::gap: tokens: expected 0 or more, got -20");
  CHECK_THROWS_AS(any_position_policy(place::gap{-1}).place(position_row(), 1), value_error);
}

TEST_CASE("positions too far away are refused, not wrapped", "[inject][position_policies]") {
  constexpr std::int64_t most = farthest_position;
  CHECK_THROWS_AS(place::at{std::numeric_limits<std::int64_t>::max()}.place(source_up_to_nine(), 2), value_error);
  CHECK_THROWS_AS(place::gap{most}.place(source_up_to_nine(), 1), value_error);
  CHECK_THROWS_AS(place::gap{most - 10}.place(source_up_to_nine(), 3), value_error);
  CHECK_THROWS_AS(place::offset{}.place(position_row::listed({most}), 1), value_error);
  CHECK(place::gap{most - 20}.place(source_up_to_nine(), 3).last_position() == most - 8);
  CHECK(place::offset{}.place(position_row::listed({-7}), 2) == position_row::consecutive(-6, 2));
}

TEST_CASE("a policy chosen at run time does what it was made from", "[inject][position_policies]") {
  const any_position_policy policy = place::gap{7};
  CHECK(policy.label() == "gap");
  CHECK(policy.place(source_up_to_nine(), 2) == place::gap{7}.place(source_up_to_nine(), 2));
  const any_position_policy copy = policy;
  CHECK(copy.place(source_up_to_nine(), 2) == position_row::consecutive(17, 2));
}

TEST_CASE("at begins where it says, wherever the source ends", "[inject][position_policies]") {
  CHECK(place::at{4}.place(source_up_to_nine(), 3) == position_row::consecutive(4, 3));
  CHECK(place::at{0}.place(position_row(), 1) == position_row::consecutive(0, 1));
  CHECK_THROWS_AS(place::at{-1}.place(source_up_to_nine(), 1), value_error);
}

TEST_CASE("a policy chosen at run time prints as a command line spells it", "[inject][position_policies]") {
  CHECK(any_position_policy(place::gap{7}).text() == "gap:7");
  CHECK(any_position_policy(place::at{7}).text() == "at:7");
  CHECK(any_position_policy(place::restart{}).text() == "restart");
  CHECK(any_position_policy(every_second{}).text() == "every_second");
}
