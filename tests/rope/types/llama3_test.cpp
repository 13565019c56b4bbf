#include "kvtransfer/rope/types/llama3.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("llama3 keeps short wavelengths, stretches long ones and blends between", "[rope][types]") {
  const rope::frequencies scaled =
      rope::types::llama3(type_values({{"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}}), 1);
  CHECK(frequencies_are(scaled.inv_freq, [](std::size_t i) {
    const double plain = plain_frequency(i);
    const double fits = 1024 * plain / (2 * std::numbers::pi);
    if (fits < 1) {
      return plain / 8;
    }
    const double share = (fits - 1) / 3;
    return fits > 4 ? plain : (1 - share) * plain / 8 + share * plain;
  }));
  CHECK(scaled.attention_scaling == 1);
}

TEST_CASE("llama3 refuses factors in the wrong order", "[rope][types][misuse]") {
  CHECK_THROWS_AS(
      rope::types::llama3(type_values({{"factor", 8.0}, {"low_freq_factor", 4.0}, {"high_freq_factor", 1.0}}), 1),
      value_error);
}

}  // namespace kvtransfer::test
