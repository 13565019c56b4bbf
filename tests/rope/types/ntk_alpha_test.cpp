#include "kvtransfer/rope/types/ntk_alpha.hpp"

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("ntk_alpha stretches the base once", "[rope][types]") {
  const double theta = 1e4 * std::pow(1000.0, 64.0 / 62);
  const rope::type_parameters parameters = type_values({{"alpha", 1000.0}});
  CHECK(frequencies_are(rope::types::ntk_alpha(parameters, 1).inv_freq,
                        [&](std::size_t i) { return plain_frequency(i, theta); }));
  CHECK(rope::types::ntk_alpha(parameters, 1).inv_freq == rope::types::ntk_alpha(parameters, 100000).inv_freq);
}

}  // namespace kvtransfer::test
