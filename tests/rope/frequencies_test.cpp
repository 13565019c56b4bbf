#include "kvtransfer/rope/frequencies.hpp"

#include <cmath>

#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("plain frequencies are the geometric series from 1 to 1/theta", "[rope][frequencies]") {
  const std::vector<float> frequencies = rope::listed(rope::plain_frequencies(1e4, 64));
  REQUIRE(frequencies.size() == 32);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    CHECK(frequencies[i] == Approx(std::pow(1e4, -static_cast<double>(i) / 32)).epsilon(1e-6));
  }
}

TEST_CASE("an odd rotary dimension is rounded up to whole pairs", "[rope][frequencies]") {
  CHECK(rope::listed(rope::plain_frequencies(1e4, 5)).size() == 3);
}

}  // namespace kvtransfer::test
