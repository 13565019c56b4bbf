#include "kvtransfer/experiment/statistics/recovery.hpp"

#include <limits>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::metric_scale;
using statistics::recover;

TEST_CASE("the recovered share's interval equals scipy's BCa bootstrap", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("recovery")) {
    const std::vector<double>& other = line.numbers("other");
    const std::vector<double> none(other.size(), 0.25);
    const statistics::recovery found = recover({none, other, line.numbers("current"), line.numbers("oracle")},
                                               metric_scale::continuous, {}, {.seed = 3, .draws = 100000});
    REQUIRE(found.share);
    CHECK(found.share->share == Approx(line.number("share")).epsilon(1e-9));
    const double width = line.numbers("range")[1] - line.numbers("range")[0];
    CHECK(found.share->range.low == Approx(line.numbers("range")[0]).margin(0.02 * width));
    CHECK(found.share->range.high == Approx(line.numbers("range")[1]).margin(0.02 * width));
  }
}

TEST_CASE("presence, content and their share are those of the means", "[experiment][statistics]") {
  const std::vector<double> none{0, 0, 0, 0, 0, 0};
  const std::vector<double> other{1, 2, 1, 2, 1, 2};
  const std::vector<double> current{2, 3, 2, 3, 2, 4};
  const std::vector<double> oracle{3, 4, 3, 5, 3, 4};
  const statistics::recovery found = recover({none, other, current, oracle}, metric_scale::continuous);
  CHECK(found.presence.mean == Approx(1.5));
  CHECK(found.content.mean == Approx(7.0 / 6));
  CHECK(found.possible.mean == Approx(13.0 / 6));
  REQUIRE(found.share);
  CHECK(found.share->share == Approx(7.0 / 13));
  CHECK(found.share->range.holds(found.share->share));
}

TEST_CASE("a cache that does what its text does recovers all, and another's recovers nothing",
          "[experiment][statistics]") {
  test::random_values random(1);
  std::vector<double> none(30);
  std::vector<double> other(30);
  std::vector<double> oracle(30);
  for (std::size_t i = 0; i < 30; ++i) {
    other[i] = random.normal();
    oracle[i] = other[i] + 1 + random.uniform();
  }
  const auto all = recover({none, other, oracle, oracle}, metric_scale::continuous);
  CHECK(all.share.value().range.low == Approx(1));
  CHECK(all.share.value().range.high == Approx(1));
  const auto nothing = recover({none, other, other, oracle}, metric_scale::continuous);
  CHECK(nothing.share.value().share == 0.0);
  CHECK(nothing.share.value().range == statistics::interval{0.0, 0.0});
}

TEST_CASE("there is no share of what is not clearly there", "[experiment][statistics]") {
  test::random_values random(2);
  const std::vector<double> none = random.normals(50);
  const std::vector<double> other = random.normals(50);
  const std::vector<double> current = random.normals(50);
  const std::vector<double> oracle = random.normals(50);
  const auto found = recover({none, other, current, oracle}, metric_scale::continuous);
  CHECK_FALSE(found.share);
  CHECK(statistics::interval_of(found.possible).holds(0));
  const std::vector<double> same(50, 1.0);
  CHECK_FALSE(recover({same, same, same, same}, metric_scale::success).share);
}

TEST_CASE("whole templates are resampled", "[experiment][statistics]") {
  test::random_values random(3);
  std::vector<double> none(200);
  std::vector<double> current(200);
  std::vector<double> oracle(200);
  std::vector<std::int64_t> clusters;
  double of_template = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    clusters.push_back(static_cast<std::int64_t>(i / 20));
    of_template = i % 20 == 0 ? random.normal() : of_template;
    oracle[i] = 2 + 0.2 * random.normal();
    current[i] = 1 + of_template;
  }
  const auto plain = recover({none, none, current, oracle}, metric_scale::continuous).share.value().range;
  const auto clustered = recover({none, none, current, oracle}, metric_scale::continuous, clusters).share.value().range;
  CHECK(clustered.high - clustered.low > 2 * (plain.high - plain.low));
}

TEST_CASE("a bootstrap repeats with its seed", "[experiment][statistics]") {
  test::random_values random(4);
  const std::vector<double> none(40);
  const std::vector<double> current = random.normals(40);
  const std::vector<double> oracle(40, 2.0);
  const auto range_of = [&](std::uint64_t seed) {
    return recover({none, none, current, oracle}, metric_scale::continuous, {}, {.seed = seed, .draws = 500})
        .share.value()
        .range;
  };
  CHECK(range_of(1) == range_of(1));
  CHECK_FALSE(range_of(1) == range_of(2));
}

TEST_CASE("conditions that do not pair are refused", "[experiment][statistics]") {
  const std::vector<double> two{1, 2};
  const std::vector<double> three{1, 2, 3};
  const std::vector<double> unknown{1, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<double> one{1};
  constexpr metric_scale scale = metric_scale::continuous;
  CHECK_THROWS_AS(recover({two, two, three, two}, scale), shape_error);
  CHECK_THROWS_AS(recover({one, one, one, one}, scale), shape_error);
  CHECK_THROWS_AS(recover({two, two, two, unknown}, scale), value_error);
  CHECK_THROWS_AS(recover({two, two, two, two}, scale, {}, {.draws = 0}), value_error);
  CHECK_THROWS_AS(recover({two, two, two, two}, scale, std::vector<std::int64_t>{0, -1}), value_error);
}
