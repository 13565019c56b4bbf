#include "kvtransfer/rope/types/linear.hpp"

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("linear divides every frequency", "[rope][types]") {
  const rope::frequencies scaled = rope::types::linear(type_values({{"factor", 4}}), 1);
  CHECK(frequencies_are(scaled.inv_freq, [](std::size_t i) { return plain_frequency(i) / 4; }));
  CHECK(scaled.attention_scaling == 1);
}

}  // namespace kvtransfer::test
