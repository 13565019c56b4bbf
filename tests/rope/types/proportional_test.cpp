#include "kvtransfer/rope/types/proportional.hpp"

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("proportional keeps the whole head's series and stills its end", "[rope][types]") {
  const rope::frequencies scaled =
      rope::types::proportional(type_values({{"partial_rotary_factor", 0.25}, {"factor", 2.0}}), 1);
  REQUIRE(scaled.inv_freq.size() == 32);
  CHECK(frequencies_are(scaled.inv_freq, [](std::size_t i) { return i < 8 ? plain_frequency(i) / 2 : 0.0; }));
}

TEST_CASE("proportional refuses a share beyond the head", "[rope][types][misuse]") {
  CHECK_THROWS_AS(rope::types::proportional(type_values({{"partial_rotary_factor", 1.25}}), 1), value_error);
}

}  // namespace kvtransfer::test
