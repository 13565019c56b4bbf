#include "kvtransfer/experiment/statistics/equivalence.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::equivalence_test;

TEST_CASE("TOST on a mean equals that of statsmodels", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("differences")) {
    const statistics::mean_estimate estimate = statistics::estimate_mean(line.numbers("values"));
    CHECK(equivalence_test(estimate, line.number("margin")).p == Approx(line.number("tost_p")).epsilon(1e-8));
  }
}

namespace {

/// z of the score test of "a − b is `margin` or more", the likeliest table of that difference found by search: its
/// share q of only_b maximises only_a log(q + margin) + only_b log q + rest log(1 − 2q − margin).
double z_by_search(double only_a, double only_b, double n, double margin) {
  const auto likelihood = [&](double q) {
    return only_a * std::log(q + margin) + only_b * std::log(q) + (n - only_a - only_b) * std::log(1 - 2 * q - margin);
  };
  double low = 1e-9;
  double high = (1 - margin) / 2 - 1e-9;
  for (int step = 0; step < 200; ++step) {
    const double third = (high - low) / 3;
    if (likelihood(low + third) < likelihood(high - third)) {
      low += third;
    } else {
      high -= third;
    }
  }
  return (only_a - only_b - n * margin) / std::sqrt(n * (2 * low + margin * (1 - margin)));
}

}  // namespace

TEST_CASE("TOST on rates is no surer than the score test, its table found by search", "[experiment][statistics]") {
  test::random_values random(2);
  int decided_by_score = 0;
  for (int i = 0; i < 100; ++i) {
    const statistics::paired_counts counts{100, 3 + random.below(9), 3 + random.below(9), 82};
    const double n = static_cast<double>(counts.prompts());
    const double only_a = static_cast<double>(counts.only_a);
    const double only_b = static_cast<double>(counts.only_b);
    const double z = std::max(z_by_search(only_a, only_b, n, 0.08), z_by_search(only_b, only_a, n, 0.08));
    const double p_of_score = 0.5 * std::erfc(-z / std::sqrt(2.0));
    const double p = equivalence_test(counts, 0.08).p;
    CHECK(p >= p_of_score * (1 - 1e-5));
    decided_by_score += p == Approx(p_of_score).epsilon(1e-5) ? 1 : 0;
  }
  CHECK(decided_by_score > 50);
}

TEST_CASE("equivalence at α is an interval of confidence 1 − 2α inside the margin", "[experiment][statistics]") {
  test::random_values random(1);
  int equivalent = 0;
  for (int i = 0; i < 300; ++i) {
    std::vector<double> values = random.normals(40);
    const statistics::mean_estimate estimate = statistics::estimate_mean(values);
    const statistics::equivalence_result of_mean = equivalence_test(estimate, 0.35);
    CHECK(of_mean.range == statistics::interval_of(estimate, 0.9));
    CHECK(of_mean.equivalent == of_mean.range.inside(0.35));

    const statistics::paired_counts counts{100 + random.below(200), random.below(12), random.below(12),
                                           random.below(99)};
    const statistics::equivalence_result of_counts = equivalence_test(counts, 0.05);
    CHECK(of_counts.range == statistics::newcombe(counts, 0.9));
    if (of_counts.equivalent) {
      CHECK(of_counts.range.inside(0.05));
      ++equivalent;
    }
    // p is where the decision turns over.
    if (of_counts.p > 0.001 && of_counts.p < 0.4) {
      CHECK(equivalence_test(counts, 0.05, of_counts.p * 1.01).equivalent);
      CHECK_FALSE(equivalence_test(counts, 0.05, of_counts.p * 0.99).equivalent);
    }
    CHECK(equivalence_test(counts.swapped(), 0.05).p == Approx(of_counts.p).epsilon(1e-6));
    CHECK(equivalence_test(counts, 0.06).p <= of_counts.p);
  }
  CHECK(equivalent > 30);
  CHECK(equivalent < 270);
}

TEST_CASE("TOST on clustered success takes the spread about the margin", "[experiment][statistics]") {
  // Two prompts a template: 10 templates differ by 1/2, 30 by 0. The score statistic is Σ(m − d) over the root of its
  // squares about m, summed by template, and of the smoothing's ½(1 − m)² + ½(1 + m)² + m².
  std::vector<double> differences;
  std::vector<std::int64_t> clusters;
  for (std::int64_t c = 0; c < 40; ++c) {
    differences.insert(differences.end(), {c < 10 ? 1.0 : 0.0, 0.0});
    clusters.insert(clusters.end(), {c, c});
  }
  const double margin = 0.3;
  const auto success = statistics::estimate_mean(differences, clusters, statistics::metric_scale::success);
  const double squares = 10 * std::pow(1 - 2 * margin, 2) + 30 * std::pow(2 * margin, 2) + 1 + 2 * margin * margin;
  const double score = 80 * (margin - 0.125) / std::sqrt(squares);
  const double p = equivalence_test(success, margin).p;
  CHECK(p > equivalence_test(statistics::estimate_mean(differences, clusters), margin).p);
  // Close to the normal tail, which Student's with 39 degrees of freedom is somewhat above.
  CHECK(std::log(p) == Approx(std::log(0.5 * std::erfc(score / std::sqrt(2.0)))).epsilon(0.15));
  CHECK(equivalence_test(success, 0.125).p == Approx(0.5));
  CHECK(equivalence_test(success, margin).range == statistics::interval_of(success, 0.9));
}

TEST_CASE("a difference of the margin or more is never equivalent", "[experiment][statistics]") {
  CHECK(equivalence_test(statistics::paired_counts{9000, 500, 0, 500}, 0.03).p == 1.0);
  CHECK(equivalence_test(statistics::paired_counts{0, 30, 0, 0}, 0.03).p == 1.0);
  CHECK(equivalence_test(statistics::estimate_mean(std::vector<double>(30, 0.5)), 0.3).p == 1.0);
  CHECK(equivalence_test(statistics::estimate_mean(std::vector<double>(30, 0.1)), 0.3).p == 0.0);
}

TEST_CASE("few prompts cannot be equivalent, and many that agree are", "[experiment][statistics]") {
  CHECK_FALSE(equivalence_test(statistics::paired_counts{5, 0, 0, 0}, 0.03).equivalent);
  CHECK_FALSE(equivalence_test(statistics::paired_counts{40, 0, 0, 20}, 0.03).equivalent);
  CHECK(equivalence_test(statistics::paired_counts{300, 0, 0, 100}, 0.03).equivalent);
}

TEST_CASE("a margin must be a distance and α a small error", "[experiment][statistics]") {
  const statistics::paired_counts counts{10, 1, 1, 10};
  const statistics::mean_estimate estimate = statistics::estimate_mean(std::vector<double>{1, 2, 3});
  for (const double margin : {0.0, -0.03, std::nan(""), HUGE_VAL}) {
    CHECK_THROWS_AS(equivalence_test(counts, margin), value_error);
    CHECK_THROWS_AS(equivalence_test(estimate, margin), value_error);
  }
  CHECK_THROWS_AS(equivalence_test(counts, 1.0), value_error);
  CHECK_THROWS_AS(equivalence_test(counts, 0.03, 0.5), value_error);
  CHECK_THROWS_AS(equivalence_test(estimate, 0.03, 0.0), value_error);
}
