#include "kvtransfer/experiment/statistics/paired_counts.hpp"

#include <limits>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::mcnemar;
using statistics::newcombe;
using statistics::paired_counts;

TEST_CASE("McNemar's tests equal scipy's and Newcombe's interval its formula in numpy", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("table")) {
    const auto table = line.integers("counts");
    CAPTURE(table);
    const paired_counts counts{table[0], table[1], table[2], table[3]};
    CHECK(mcnemar(counts).exact == Approx(line.number("exact")).epsilon(1e-9));
    CHECK(mcnemar(counts).mid == Approx(line.number("mid")).epsilon(1e-9));
    const auto check = [&](double confidence, const std::string& key) {
      CHECK(newcombe(counts, confidence).low == Approx(line.numbers(key)[0]).epsilon(1e-9).margin(1e-12));
      CHECK(newcombe(counts, confidence).high == Approx(line.numbers(key)[1]).epsilon(1e-9).margin(1e-12));
    };
    check(0.9, "newcombe_90");
    check(0.95, "newcombe_95");
    if (line.has("independent_95")) {
      check(0.95, "independent_95");
    }
  }
}

TEST_CASE("paired counts give published values", "[experiment][statistics]") {
  // Newcombe 1998 (Stat. Med. 17, 2635-2650), table III, method 10
  const paired_counts airway{36, 12, 2, 0};
  CHECK(airway.difference() == Approx(0.20));
  CHECK(newcombe(airway).low == Approx(0.0569).margin(5e-5));
  CHECK(newcombe(airway).high == Approx(0.3404).margin(5e-5));
  CHECK(mcnemar({0, 10, 2, 0}).exact == Approx(0.0385742).margin(5e-8));
  CHECK(mcnemar({0, 10, 2, 0}).mid == Approx(0.0224609).margin(5e-8));
  CHECK(mcnemar({0, 5, 0, 0}).exact == Approx(0.0625));
  CHECK(mcnemar({0, 5, 0, 0}).mid == Approx(0.03125));
}

TEST_CASE("as many discordant prompts either way are no evidence at all", "[experiment][statistics]") {
  for (const std::int64_t either : {0, 1, 2, 7, 100}) {
    CHECK(mcnemar({3, either, either, 5}).exact == 1.0);
    CHECK(mcnemar({3, either, either, 5}).mid == 1.0);
  }
}

TEST_CASE("exchanging the conditions mirrors the interval and keeps the tests", "[experiment][statistics]") {
  test::random_values random(1);
  for (int i = 0; i < 500; ++i) {
    const paired_counts counts{random.below(30), random.below(30), random.below(30), 1 + random.below(30)};
    CAPTURE(counts.both, counts.only_a, counts.only_b, counts.neither);
    const statistics::interval range = newcombe(counts);
    const statistics::interval swapped = newcombe(counts.swapped());
    CHECK(range.low == Approx(-swapped.high).margin(1e-12));
    CHECK(range.high == Approx(-swapped.low).margin(1e-12));
    CHECK(range.holds(counts.difference()));
    CHECK((range.low >= -1 - 1e-12 && range.high <= 1 + 1e-12));
    const statistics::interval wider = newcombe(counts, 0.99);
    CHECK((wider.low <= range.low && range.high <= wider.high));
    // What both or neither answered is no evidence for the test, and failures differ as successes do, the other way.
    CHECK(mcnemar(counts).mid == mcnemar({0, counts.only_a, counts.only_b, 0}).mid);
    CHECK(mcnemar(counts).mid == mcnemar(counts.swapped()).mid);
    CHECK(mcnemar(counts).mid <= mcnemar(counts).exact);
    const statistics::interval failures = newcombe({counts.neither, counts.only_b, counts.only_a, counts.both});
    CHECK(failures.low == Approx(-range.high).margin(1e-12));
    CHECK(failures.high == Approx(-range.low).margin(1e-12));
  }
}

TEST_CASE("one more prompt that a alone answers makes a difference surer", "[experiment][statistics]") {
  for (std::int64_t only_a = 3; only_a < 40; ++only_a) {
    CHECK(mcnemar({9, only_a + 1, 2, 9}).mid < mcnemar({9, only_a, 2, 9}).mid);
    CHECK(mcnemar({9, only_a + 1, 2, 9}).exact < mcnemar({9, only_a, 2, 9}).exact);
  }
}

TEST_CASE("prompts are counted by who answered them", "[experiment][statistics]") {
  const std::vector<double> a{1, 1, 0, 0, 1, 0};
  const std::vector<double> b{1, 0, 1, 0, 0, 0};
  CHECK(statistics::count_pairs(a, b) == paired_counts{1, 2, 1, 2});
  CHECK(statistics::count_pairs(b, a) == paired_counts{1, 2, 1, 2}.swapped());
  CHECK(paired_counts{}.difference() == 0.0);
}

TEST_CASE("pairs that are none are refused", "[experiment][statistics]") {
  const std::vector<double> two{1, 0};
  const std::vector<double> three{1, 0, 1};
  const std::vector<double> half{1, 0.5};
  const std::vector<double> unknown{std::numeric_limits<double>::quiet_NaN(), 0};
  CHECK_THROWS_AS(statistics::count_pairs({}, {}), shape_error);
  CHECK_THROWS_AS(statistics::count_pairs(two, three), shape_error);
  CHECK_THROWS_AS(statistics::count_pairs(two, half), value_error);
  CHECK_THROWS_AS(statistics::count_pairs(unknown, two), value_error);
  CHECK_THROWS_WITH(statistics::count_pairs(two, half), "count_pairs: b[1]: expected 0 or 1, got 0.5");
  CHECK_THROWS_AS(mcnemar({1, -1, 2, 3}), value_error);
  CHECK_THROWS_AS(newcombe({0, 0, 0, 0}), value_error);
  CHECK_THROWS_AS(newcombe({1, 2, 3, -4}), value_error);
  CHECK_THROWS_AS(newcombe({1, 2, 3, 4}, 0.0), value_error);
}
