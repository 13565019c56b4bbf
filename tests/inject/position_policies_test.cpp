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
  CHECK(positions::offset{}.place(source_up_to_nine(), 3) == position_row::consecutive(10, 3));
  CHECK(positions::offset{}.place(position_row(), 2) == position_row::consecutive(0, 2));
  CHECK(positions::offset{}.place(position_row::listed({9, 3}), 1) == position_row::consecutive(10, 1));
}

TEST_CASE("restart begins at 0 whatever was held", "[inject][position_policies]") {
  CHECK(positions::restart{}.place(source_up_to_nine(), 3) == position_row::consecutive(0, 3));
}

TEST_CASE("gap leaves positions free, and none is offset", "[inject][position_policies]") {
  CHECK(positions::gap{5}.place(source_up_to_nine(), 3) == position_row::consecutive(15, 3));
  CHECK(positions::gap{}.place(source_up_to_nine(), 3) == positions::offset{}.place(source_up_to_nine(), 3));
  CHECK(positions::gap{5}.place(position_row(), 1) == position_row::consecutive(5, 1));
}

TEST_CASE("a gap is not negative: text would stand among what it follows", "[inject][position_policies]") {
  CHECK(message_of<value_error>([] { positions::gap{-20}.place(source_up_to_nine(), 3); }) ==
        "positions::gap: tokens: expected 0 or more, got -20");
  CHECK_THROWS_AS(any_position_policy(positions::gap{-1}).place(position_row(), 1), value_error);
}

TEST_CASE("positions past 64 bits are refused, not wrapped", "[inject][position_policies]") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(positions::gap{most}.place(source_up_to_nine(), 1), value_error);
  CHECK_THROWS_AS(positions::gap{most - 10}.place(source_up_to_nine(), 3), value_error);
  CHECK_THROWS_AS(positions::offset{}.place(position_row::listed({most}), 1), value_error);
  CHECK(positions::gap{most - 20}.place(source_up_to_nine(), 3).last_position() == most - 8);
  CHECK(positions::offset{}.place(position_row::listed({-7}), 2) == position_row::consecutive(-6, 2));
}

TEST_CASE("a policy chosen at run time does what it was made from", "[inject][position_policies]") {
  const any_position_policy policy = positions::gap{7};
  CHECK(policy.label() == "gap");
  CHECK(policy.place(source_up_to_nine(), 2) == positions::gap{7}.place(source_up_to_nine(), 2));
  const any_position_policy copy = policy;
  CHECK(copy.place(source_up_to_nine(), 2) == position_row::consecutive(17, 2));
}

TEST_CASE("the standard registry knows the library's policies", "[inject][position_policies]") {
  const auto registry = position_policy_registry::standard();
  CHECK(registry.parse("offset").place(source_up_to_nine(), 1) == position_row::consecutive(10, 1));
  CHECK(registry.parse("restart").place(source_up_to_nine(), 1) == position_row::consecutive(0, 1));
  CHECK(registry.parse("gap:16").place(source_up_to_nine(), 1) == position_row::consecutive(26, 1));
}

TEST_CASE("an unknown policy is refused with the names that are known", "[inject][position_policies]") {
  CHECK(message_of<value_error>([] { position_policy_registry::standard().parse("offest"); }) ==
        "position policy: name: expected one of offset, restart, gap, got \"offest\"");
}

TEST_CASE("an argument that a policy cannot take is refused", "[inject][position_policies]") {
  const auto registry = position_policy_registry::standard();
  for (const char* text :
       {"gap", "gap:", "gap:x", "gap:3x", "gap: 3", "gap:-3", "gap:99999999999999999999", "offset:3", "restart:0"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(registry.parse(text), value_error);
  }
}

TEST_CASE("a program adds policies of its own", "[inject][position_policies]") {
  auto registry = position_policy_registry::standard();
  registry.add("every", [](const std::string& step) { return every_second{std::stoll(step)}; });
  CHECK(registry.parse("every:10").label() == "every_second");
  CHECK(registry.parse("every:10").place(source_up_to_nine(), 2).positions() == std::vector<std::int64_t>{19, 29});
  CHECK(message_of<value_error>([&] { registry.parse("?"); }) ==
        "position policy: name: expected one of offset, restart, gap, every, got \"?\"");
}
