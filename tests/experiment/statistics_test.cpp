#include "kvtransfer/experiment/statistics.hpp"

#include <cmath>

#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;

TEST_CASE("Wilson intervals equal published values", "[experiment][statistics]") {
  // R: binom::binom.confint(x, n, methods = "wilson"); Newcombe 1998 (Stat. Med. 17), table I, gives 81/263, 15/148,
  // 0/20, 1/29.
  const auto check = [](proportion observed, double low, double high) {
    const interval wilson = wilson_interval(observed);
    CHECK(wilson.low == Approx(low).margin(5e-5));
    CHECK(wilson.high == Approx(high).margin(5e-5));
  };
  check({81, 263}, 0.2553, 0.3662);
  check({15, 148}, 0.0624, 0.1605);
  check({0, 20}, 0.0, 0.1611);
  check({1, 29}, 0.0061, 0.1718);
}

TEST_CASE("a Wilson interval's ends are where the score test just rejects", "[experiment][statistics]") {
  for (const proportion observed : {proportion{3, 10}, proportion{7, 9}, proportion{50, 51}}) {
    const interval wilson = wilson_interval(observed);
    const double n = static_cast<double>(observed.trials);
    for (const double end : {wilson.low, wilson.high}) {
      const double z = std::abs(observed.rate() - end) / std::sqrt(end * (1 - end) / n);
      CHECK(z == Approx(normal_quantile_975).epsilon(1e-9));
    }
  }
}

TEST_CASE("a Wilson interval mirrors when successes and failures swap", "[experiment][statistics]") {
  const interval few = wilson_interval({2, 12});
  const interval many = wilson_interval({10, 12});
  CHECK(few.low == Approx(1 - many.high));
  CHECK(few.high == Approx(1 - many.low));
}

TEST_CASE("no trials leave everything possible, and impossible counts are refused", "[experiment][statistics]") {
  CHECK(wilson_interval({0, 0}) == interval{0.0, 1.0});
  CHECK(wilson_interval({5, 5}).high == 1.0);
  CHECK_THROWS_AS(wilson_interval({6, 5}), value_error);
  CHECK_THROWS_AS(wilson_interval({-1, 5}), value_error);
}
