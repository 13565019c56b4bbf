#include "kvtransfer/rope/types/dynamic.hpp"

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("dynamic stretches its base with the sequence, beyond the trained length alone", "[rope][types]") {
  const rope::type_parameters parameters = type_values({{"factor", 2.0}});
  CHECK(frequencies_are(rope::types::dynamic(parameters, 4096).inv_freq,
                        [](std::size_t i) { return plain_frequency(i); }));
  const double theta = 1e4 * std::pow(2.0 * 10000 / 4096 - 1, 64.0 / 62);
  CHECK(frequencies_are(rope::types::dynamic(parameters, 10000).inv_freq,
                        [&](std::size_t i) { return plain_frequency(i, theta); }));
}

}  // namespace kvtransfer::test
