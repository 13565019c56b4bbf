#include "kvtransfer/core/slot_range.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("ranges overlap in the slots that both have", "[core][slot_range]") {
  const slot_range range{3, 4};
  CHECK(range.end() == 7);
  CHECK(range.overlap({0, 5}) == slot_range{3, 2});
  CHECK(range.overlap({5, 9}) == slot_range{5, 2});
  CHECK(range.overlap({4, 1}) == slot_range{4, 1});
  CHECK(range.overlap(range) == range);
}

TEST_CASE("ranges that only touch have nothing in common", "[core][slot_range]") {
  CHECK(slot_range{3, 4}.overlap({7, 2}).empty());
  CHECK(slot_range{3, 4}.overlap({0, 3}).empty());
  CHECK(slot_range{3, 4}.overlap({20, 1}).empty());
  CHECK(slot_range{}.empty());
}
