#include "corpus/dice.hpp"

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("dice with one seed fall alike on every machine", "[train_lab][corpus]") {
  // Source: [rand.predef] of the C++ standard: the 10000th draw of a default mt19937_64 (seed 5489) is
  // 9981545732273789042.
  dice throws{5489};
  for (int draw = 1; draw < 10000; ++draw) {
    throws.below(2);
  }
  CHECK(throws.below(1'000'000'000'000) == 9981545732273789042ULL % 1'000'000'000'000);
}

TEST_CASE("a range is drawn from its first to its last number", "[train_lab][corpus]") {
  dice throws{1};
  std::set<std::int64_t> drawn;
  for (int draw = 0; draw < 200; ++draw) {
    drawn.insert(throws.between(-1, 2));
  }
  CHECK(drawn == std::set<std::int64_t>{-1, 0, 1, 2});
}

TEST_CASE("a chance of 0 never comes and one of 100 always does", "[train_lab][corpus]") {
  dice throws{2};
  for (int draw = 0; draw < 200; ++draw) {
    CHECK_FALSE(throws.chance(0));
    CHECK(throws.chance(100));
  }
}

TEST_CASE("seeds of neighbouring rows and steps are all different", "[train_lab][corpus]") {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t step = 0; step < 40; ++step) {
    for (std::uint64_t row = 0; row < 40; ++row) {
      seeds.insert(mixed_seed(0, step, row));
    }
  }
  CHECK(seeds.size() == 1600);
  CHECK(mixed_seed(0, 1, 2) != mixed_seed(1, 1, 2));
}
