#include "kvtransfer/experiment/statistics/proportion.hpp"

#include <cmath>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::clopper_pearson;
using statistics::wilson;

TEST_CASE("intervals of a proportion equal those of statsmodels", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("proportion")) {
    const auto counts = line.integers("counts");
    const double confidence = line.number("confidence");
    CAPTURE(counts[0], counts[1], confidence);
    const auto check = [&](const statistics::interval& range, const std::vector<double>& expected) {
      CHECK(range.low == Approx(expected[0]).epsilon(1e-9).margin(1e-12));
      CHECK(range.high == Approx(expected[1]).epsilon(1e-9));
    };
    check(wilson({counts[0], counts[1]}, confidence), line.numbers("wilson"));
    check(clopper_pearson({counts[0], counts[1]}, confidence), line.numbers("clopper_pearson"));
  }
}

TEST_CASE("Wilson's intervals equal published ones", "[experiment][statistics]") {
  // R. G. Newcombe, Stat. Med. 17 (1998), 857-872, table I
  const auto check = [](statistics::proportion observed, double low, double high) {
    CHECK(wilson(observed).low == Approx(low).margin(5e-5));
    CHECK(wilson(observed).high == Approx(high).margin(5e-5));
  };
  check({81, 263}, 0.2553, 0.3662);
  check({15, 148}, 0.0624, 0.1605);
  check({0, 20}, 0.0, 0.1611);
  check({1, 29}, 0.0061, 0.1718);
}

TEST_CASE("a Wilson interval's ends are where the score test just rejects", "[experiment][statistics]") {
  for (const statistics::proportion observed : {statistics::proportion{3, 10}, {7, 9}, {50, 51}}) {
    const double n = static_cast<double>(observed.trials);
    for (const double end : {wilson(observed).low, wilson(observed).high}) {
      CHECK(std::abs(observed.rate() - end) / std::sqrt(end * (1 - end) / n) ==
            Approx(1.959963984540054).epsilon(1e-9));
    }
  }
}

TEST_CASE("intervals of a proportion hold the rate, mirror, grow with confidence and shrink with trials",
          "[experiment][statistics]") {
  for (const auto& range_of : {wilson, clopper_pearson}) {
    for (std::int64_t n = 1; n <= 40; ++n) {
      for (std::int64_t successes = 0; successes <= n; ++successes) {
        const statistics::interval range = range_of({successes, n}, 0.95);
        const statistics::interval mirrored = range_of({n - successes, n}, 0.95);
        const statistics::interval wider = range_of({successes, n}, 0.99);
        const statistics::interval narrower = range_of({10 * successes, 10 * n}, 0.95);
        CHECK((0 <= range.low && range.high <= 1));
        CHECK(range.holds(statistics::proportion{successes, n}.rate()));
        CHECK(range.low == Approx(1 - mirrored.high).margin(1e-12));
        CHECK((wider.low <= range.low && range.high <= wider.high));
        CHECK(narrower.high - narrower.low < range.high - range.low);
        if (successes > 0) {
          const statistics::interval before = range_of({successes - 1, n}, 0.95);
          CHECK((before.low < range.low && before.high < range.high));
        }
      }
    }
  }
}

TEST_CASE("no trials leave everything possible, and impossible counts are refused", "[experiment][statistics]") {
  for (const auto& range_of : {wilson, clopper_pearson}) {
    CHECK(range_of({0, 0}, 0.95) == statistics::interval{0.0, 1.0});
    CHECK(range_of({5, 5}, 0.95).high == 1.0);
    CHECK(range_of({0, 5}, 0.95).low == 0.0);
    CHECK_THROWS_AS(range_of({6, 5}, 0.95), value_error);
    CHECK_THROWS_AS(range_of({-1, 5}, 0.95), value_error);
    CHECK_THROWS_AS(range_of({0, -1}, 0.95), value_error);
    CHECK_THROWS_AS(range_of({1, 5}, 1.0), value_error);
    CHECK_THROWS_AS(range_of({1, 5}, std::nan("")), value_error);
  }
}
