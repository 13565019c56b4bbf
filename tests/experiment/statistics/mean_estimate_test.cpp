#include "kvtransfer/experiment/statistics/mean_estimate.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::estimate_mean;
using statistics::mean_estimate;
using statistics::metric_scale;

TEST_CASE("an interval of rates ends where rates do", "[experiment][statistics]") {
  const std::vector<double> all(80, 1.0);
  std::vector<std::int64_t> clusters(80);
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    clusters[i] = static_cast<std::int64_t>(i % 4);
  }
  const mean_estimate up = estimate_mean(all, clusters, metric_scale::success);
  CHECK(statistics::interval_of(up).high == 1);
  CHECK(statistics::interval_of(up).low < 1);
  const mean_estimate down = estimate_mean(std::vector<double>(80, -1.0), clusters, metric_scale::success);
  CHECK(statistics::interval_of(down).low == -1);
  const mean_estimate wide = estimate_mean(std::vector<double>{1.5, 2.5, 3.5});
  CHECK(statistics::interval_of(wide).high > 1);
}

TEST_CASE("the paired t test equals that of statsmodels", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("differences")) {
    const mean_estimate estimate = estimate_mean(line.numbers("values"));
    CHECK(estimate.standard_error == Approx(line.number("plain_se")).epsilon(1e-9));
    CHECK(statistics::two_sided_p(estimate) == Approx(line.number("plain_p")).epsilon(1e-9));
    CHECK(statistics::interval_of(estimate).low == Approx(line.numbers("plain_range")[0]).epsilon(1e-9));
    CHECK(statistics::interval_of(estimate).high == Approx(line.numbers("plain_range")[1]).epsilon(1e-9));
  }
}

TEST_CASE(
    "clustered inference equals statsmodels where clusters are even, and Bell and McCaffrey's matrices throughout",
    "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("differences")) {
    const auto clusters = line.integers("clusters");
    const mean_estimate estimate = estimate_mean(line.numbers("values"), clusters);
    CHECK(estimate.units == statistics::count_clusters(clusters));
    CHECK(estimate.standard_error == Approx(line.numbers("cr2")[0]).epsilon(1e-9));
    CHECK(estimate.degrees_of_freedom == Approx(line.numbers("cr2")[1]).epsilon(1e-9));
    if (line.has("clustered_se")) {
      CHECK(estimate.degrees_of_freedom == static_cast<double>(estimate.units - 1));
      CHECK(estimate.standard_error == Approx(line.number("clustered_se")).epsilon(1e-9));
      CHECK(statistics::two_sided_p(estimate) == Approx(line.number("clustered_p")).epsilon(1e-8));
      CHECK(statistics::interval_of(estimate).low == Approx(line.numbers("clustered_range")[0]).epsilon(1e-8));
      CHECK(statistics::interval_of(estimate).high == Approx(line.numbers("clustered_range")[1]).epsilon(1e-8));
    }
  }
}

TEST_CASE("a cluster for each prompt is no clustering, and the clusters' numbers and order mean nothing",
          "[experiment][statistics]") {
  test::random_values random(2);
  const std::vector<double> values = random.normals(12);
  std::vector<std::int64_t> own;
  for (std::int64_t i = 0; i < 12; ++i) {
    own.push_back(100 - i);
  }
  const mean_estimate plain = estimate_mean(values);
  const mean_estimate clustered = estimate_mean(values, own);
  CHECK(clustered.standard_error == Approx(plain.standard_error));
  CHECK(clustered.degrees_of_freedom == plain.degrees_of_freedom);

  const std::vector<std::int64_t> sorted{0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
  std::vector<double> reversed(values.rbegin(), values.rend());
  const std::vector<std::int64_t> renamed{7, 7, 7, 9, 9, 9, 9, 3, 3, 3, 3, 3};
  CHECK(estimate_mean(reversed, renamed).standard_error == Approx(estimate_mean(values, sorted).standard_error));
}

TEST_CASE("prompts repeated within their templates add no certainty", "[experiment][statistics]") {
  test::random_values random(3);
  const std::vector<double> templates = random.normals(15);
  std::vector<double> repeated;
  std::vector<std::int64_t> clusters;
  for (std::size_t c = 0; c < templates.size(); ++c) {
    repeated.insert(repeated.end(), 20, templates[c]);
    clusters.insert(clusters.end(), 20, static_cast<std::int64_t>(c));
  }
  const mean_estimate once = estimate_mean(templates);
  const mean_estimate often = estimate_mean(repeated, clusters);
  CHECK(often.standard_error == Approx(once.standard_error));
  CHECK(often.degrees_of_freedom == once.degrees_of_freedom);
  CHECK(estimate_mean(repeated).standard_error < once.standard_error / 4);
}

TEST_CASE("success that agrees on every prompt still leaves room for a difference", "[experiment][statistics]") {
  const std::vector<double> none(100, 0.0);
  const mean_estimate smoothed = estimate_mean(none, {}, metric_scale::success);
  // Agresti and Min's interval of an empty discordance: standard error √(0 + 1) / (n + 2), there without n/(n − 1)
  CHECK(smoothed.standard_error == Approx(1.0 / 102));
  CHECK(smoothed.mean == 0.0);
  CHECK(statistics::two_sided_p(smoothed) == 1.0);
  CHECK(statistics::interval_of(smoothed).low == Approx(-statistics::interval_of(smoothed).high));

  std::vector<double> some = none;
  some[0] = some[1] = 1;
  const mean_estimate drawn_in = estimate_mean(some, {}, metric_scale::success);
  CHECK(drawn_in.mean == Approx(0.02));
  CHECK(drawn_in.center == Approx(2.0 / 102));
  CHECK(estimate_mean(none).standard_error == 0.0);
}

TEST_CASE("negated differences mirror the interval, and scaled ones scale it", "[experiment][statistics]") {
  test::random_values random(4);
  std::vector<double> values = random.normals(30);
  std::vector<double> negated;
  std::vector<double> scaled;
  for (double& value : values) {
    value += 0.3;
    negated.push_back(-value);
    scaled.push_back(8 * value);
  }
  const statistics::interval range = statistics::interval_of(estimate_mean(values));
  CHECK(statistics::interval_of(estimate_mean(negated)).low == Approx(-range.high));
  CHECK(statistics::interval_of(estimate_mean(scaled)).low == Approx(8 * range.low));
  CHECK(statistics::two_sided_p(estimate_mean(negated)) == Approx(statistics::two_sided_p(estimate_mean(values))));
  CHECK(range.holds(estimate_mean(values).mean));
}

TEST_CASE("an interval leaves out 0 where the t test rejects", "[experiment][statistics]") {
  test::random_values random(5);
  for (int i = 0; i < 200; ++i) {
    std::vector<double> values = random.normals(10);
    for (double& value : values) {
      value += 0.6;
    }
    const mean_estimate estimate = estimate_mean(values);
    CHECK((statistics::two_sided_p(estimate) < 0.05) == !statistics::interval_of(estimate).holds(0));
  }
}

TEST_CASE("differences without spread leave the t test no doubt, either way", "[experiment][statistics]") {
  CHECK(statistics::two_sided_p(estimate_mean(std::vector<double>(6, 0.0))) == 1.0);
  CHECK(statistics::two_sided_p(estimate_mean(std::vector<double>(6, 0.5))) == 0.0);
}

TEST_CASE("differences that allow no estimate are refused", "[experiment][statistics]") {
  const std::vector<double> three{1, 2, 3};
  const std::vector<double> unknown{1, std::numeric_limits<double>::quiet_NaN(), 3};
  const std::vector<double> boundless{1, std::numeric_limits<double>::infinity(), 3};
  const std::vector<std::int64_t> two_clusters{0, 1};
  const std::vector<std::int64_t> one_cluster{4, 4, 4};
  const std::vector<std::int64_t> negative{0, -1, 1};
  CHECK_THROWS_AS(estimate_mean({}), shape_error);
  CHECK_THROWS_AS(estimate_mean(std::vector<double>{1}), shape_error);
  CHECK_THROWS_AS(estimate_mean(unknown), value_error);
  CHECK_THROWS_AS(estimate_mean(boundless), value_error);
  CHECK_THROWS_AS(estimate_mean(three, two_clusters), shape_error);
  CHECK_THROWS_AS(estimate_mean(three, one_cluster), value_error);
  CHECK_THROWS_WITH(estimate_mean(three, negative),
                    "estimate_mean: clusters[1]: expected a known cluster, 0 or above, got -1");
  CHECK_THROWS_AS(estimate_mean(three, {}, metric_scale::success), value_error);
  CHECK_THROWS_AS(statistics::interval_of(estimate_mean(three), 1.5), value_error);
}
