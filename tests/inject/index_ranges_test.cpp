#include "kvtransfer/inject/index_ranges.hpp"

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("both ends of a range are in it", "[inject][index_ranges]") {
  const index_ranges middle(2, 4);
  CHECK_FALSE(middle.contains(1));
  CHECK(middle.contains(2));
  CHECK(middle.contains(4));
  CHECK_FALSE(middle.contains(5));
  CHECK(middle.text() == "2-4");
  CHECK(middle.largest() == 4);
}

TEST_CASE("ranges are put in order and joined where they meet", "[inject][index_ranges]") {
  CHECK(index_ranges::listed({7, 2, 4, 3}).text() == "2-4,7");
  CHECK(index_ranges({index_ranges::closed(5, 6), index_ranges::closed(2, 4)}) == index_ranges(2, 6));
}

TEST_CASE("an open range has no end", "[inject][index_ranges]") {
  const index_ranges late({index_ranges::open(9), index_ranges::closed(1, 1)});
  CHECK(late.text() == "1,9-");
  CHECK(late.largest() == 9);
  CHECK(late.contains(std::int64_t{1} << 50));
  CHECK(index_ranges({index_ranges::open(0)}).text() == "0-");
}

TEST_CASE("ranges that nobody can mean are refused", "[inject][index_ranges]") {
  CHECK(message_of<value_error>([] { index_ranges(4, 2); }) ==
        "index_ranges: range: expected 0 <= first <= last, got 4-2");
  CHECK_THROWS_AS(index_ranges(-1, 2), value_error);
  CHECK_THROWS_AS(index_ranges::listed({}), value_error);
  CHECK(message_of<value_error>([] { index_ranges::listed({3, 1, 3}); }) ==
        "index_ranges: ranges: expected every index once, got 3 twice");
  CHECK(message_of<value_error>([] { index_ranges(2, 3).require_below(3, "layers:2-3", "layers"); }) ==
        "layers:2-3: layers: expected layers below 3, got 3");
}
