#include "kvtransfer/rope/types/longrope.hpp"

#include <nlohmann/json.hpp>

#include "rope/types/frequencies_of.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

rope::type_parameters long_context(nlohmann::json values = nlohmann::json::object()) {
  nlohmann::json all = {{"short_factor", std::vector<double>(32, 1.5)}, {"long_factor", std::vector<double>(32, 6.0)}};
  all.update(values);
  return type_values(std::move(all));
}

}  // namespace

TEST_CASE("longrope changes its divisors beyond the original length", "[rope][types]") {
  const auto divided = [](std::int64_t length, double divisor) {
    return frequencies_are(rope::types::longrope(long_context(), length).inv_freq,
                           [&](std::size_t i) { return plain_frequency(i) / divisor; });
  };
  CHECK(divided(1, 1.5));
  CHECK(divided(1024, 1.5));
  CHECK(divided(1025, 6.0));
}

TEST_CASE("longrope's attention scaling is the same in both regimes", "[rope][types]") {
  const double expected = std::sqrt(1 + std::log(4.0) / std::log(1024.0));
  CHECK(rope::types::longrope(long_context(), 1).attention_scaling == Approx(expected));
  CHECK(rope::types::longrope(long_context(), 5000).attention_scaling == Approx(expected));
  CHECK(rope::types::longrope(long_context({{"attention_factor", 1.19}}), 1).attention_scaling == 1.19);
  CHECK(rope::types::longrope(long_context({{"factor", 1.0}}), 1).attention_scaling == 1);
}

TEST_CASE("longrope refuses lists of another length, whichever regime is asked for", "[rope][types][misuse]") {
  const nlohmann::json three = {1, 1, 1};
  CHECK_THROWS_AS(rope::types::longrope(long_context({{"long_factor", three}}), 1), shape_error);
  CHECK_THROWS_AS(rope::types::longrope(long_context({{"short_factor", three}}), 5000), shape_error);
}

}  // namespace kvtransfer::test
