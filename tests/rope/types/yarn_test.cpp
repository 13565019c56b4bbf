#include "kvtransfer/rope/types/yarn.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("yarn keeps short wavelengths, divides long ones and ramps between", "[rope][types]") {
  const rope::frequencies scaled = rope::types::yarn(type_values({{"factor", 8.0}}), 1);
  const double low = std::floor(64 * std::log(1024 / (32 * 2 * std::numbers::pi)) / (2 * std::log(1e4)));
  const double high = std::ceil(64 * std::log(1024 / (2 * std::numbers::pi)) / (2 * std::log(1e4)));
  CHECK(frequencies_are(scaled.inv_freq, [&](std::size_t i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    return plain_frequency(i) * (ramp / 8 + 1 - ramp);
  }));
}

TEST_CASE("yarn's ramp is not rounded to whole pairs unless truncated", "[rope][types]") {
  const auto ramp = [](bool truncate) {
    return rope::types::yarn(type_values({{"factor", 8.0}, {"truncate", truncate}}), 1).inv_freq;
  };
  CHECK(ramp(true) != ramp(false));
  CHECK(ramp(true) == rope::types::yarn(type_values({{"factor", 8.0}}), 1).inv_freq);
}

TEST_CASE("yarn's attention scaling is given, or follows from the factor", "[rope][types]") {
  const auto scaling = [](nlohmann::json values) {
    return rope::types::yarn(type_values(std::move(values)), 1).attention_scaling;
  };
  CHECK(scaling({{"factor", 8.0}}) == Approx(0.1 * std::log(8) + 1));
  CHECK(scaling({{"factor", 8.0}, {"attention_factor", 1.25}}) == 1.25);
  CHECK(scaling({{"factor", 8.0}, {"mscale", 1.0}, {"mscale_all_dim", 0.5}}) ==
        Approx((0.1 * std::log(8) + 1) / (0.05 * std::log(8) + 1)));
  CHECK(scaling({{"factor", 8.0}, {"mscale", 0.7}}) == Approx(0.1 * std::log(8) + 1));
  CHECK(scaling({{"factor", 1.0}}) == 1);
  CHECK(scaling({{"factor", nullptr}}) == Approx(0.1 * std::log(4) + 1));
}

}  // namespace kvtransfer::test
