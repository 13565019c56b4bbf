#include "kvtransfer/rope/types/default.hpp"

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("default is the plain series over the part that rotates", "[rope][types]") {
  const rope::frequencies all = rope::types::plain(type_values({}), 1);
  CHECK(frequencies_are(all.inv_freq, [](std::size_t i) { return plain_frequency(i); }));
  CHECK(all.inv_freq.size() == 32);
  CHECK(all.attention_scaling == 1);
  const rope::frequencies half = rope::types::plain(type_values({{"partial_rotary_factor", 0.5}}), 1);
  CHECK(half.inv_freq.size() == 16);
  CHECK(frequencies_are(half.inv_freq, [](std::size_t i) { return plain_frequency(2 * i); }));
}

}  // namespace kvtransfer::test
