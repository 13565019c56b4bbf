#include "experiment/statistics/philox.hpp"

#include <array>
#include <set>

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("Philox gives its authors' known answers", "[experiment][philox]") {
  // Random123, kat_vectors: philox4x32 10
  using bits = std::array<std::uint32_t, 4>;
  CHECK(philox(0, 0, 0) == bits{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  CHECK(philox(ones, ones, ones) == bits{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
        bits{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform draws lie in [0, 1), spread evenly, and depend on each argument", "[experiment][philox]") {
  double sum = 0;
  double squares = 0;
  std::set<double> distinct;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    const double drawn = philox_uniform(7, i);
    CHECK((drawn >= 0 && drawn < 1));
    sum += drawn;
    squares += drawn * drawn;
    distinct.insert(drawn);
  }
  CHECK(distinct.size() == 10000);
  CHECK(sum / 10000 == test::Approx(0.5).margin(0.01));
  CHECK(squares / 10000 == test::Approx(1.0 / 3).margin(0.01));
  CHECK(philox_uniform(1, 2, 3) != philox_uniform(1, 2, 4));
  CHECK(philox_uniform(1, 2, 3) != philox_uniform(1, 4, 3));
  CHECK(philox_uniform(1, 2, 3) != philox_uniform(4, 2, 3));
}
