#include "kvtransfer/experiment/statistics/factorial.hpp"

#include <limits>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::factorial_effects;
using statistics::metric_scale;

TEST_CASE("factorial effects equal a least-squares fit of each prompt", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("factorial")) {
    const std::vector<double>& flat = line.numbers("cells");
    const std::size_t prompts = flat.size() / 8;
    std::vector<std::vector<double>> cells;
    for (std::size_t cell = 0; cell < 8; ++cell) {
      cells.emplace_back(flat.begin() + static_cast<std::ptrdiff_t>(cell * prompts),
                         flat.begin() + static_cast<std::ptrdiff_t>((cell + 1) * prompts));
    }
    const std::vector<std::string> factors{"bos", "eos", "offset"};
    const auto effects = factorial_effects(factors, cells, metric_scale::continuous);
    REQUIRE(effects.size() == 6);
    for (std::size_t i = 0; i < effects.size(); ++i) {
      CHECK(effects[i].estimate.mean == Approx(line.numbers("means")[i]).epsilon(1e-9));
      CHECK(effects[i].p == Approx(line.numbers("p")[i]).epsilon(1e-8));
      CHECK(effects[i].p_holm == Approx(line.numbers("holm")[i]).epsilon(1e-8));
      CHECK(effects[i].p_sign_flip == Approx(effects[i].p).margin(0.02));
    }
    CHECK(effects[1].factor == "eos");
    CHECK_FALSE(effects[1].with);
    CHECK(effects[4].factor == "bos");
    CHECK(effects[4].with == "offset");
  }
}

TEST_CASE("an effect is what its factor adds, and an interaction half of what two add together",
          "[experiment][statistics]") {
  // value = prompt + 2a + 3b + 4ab: A adds 2 without B and 6 with it.
  const std::vector<double> prompts{0, 1, 5, -2};
  std::vector<std::vector<double>> cells(4, prompts);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    cells[1][i] += 2;
    cells[2][i] += 3;
    cells[3][i] += 9;
  }
  const std::vector<std::string> factors{"a", "b"};
  const auto effects = factorial_effects(factors, cells, metric_scale::continuous);
  CHECK(effects[0].estimate.mean == Approx(4));
  CHECK(effects[1].estimate.mean == Approx(5));
  CHECK(effects[2].estimate.mean == Approx(2));
}

TEST_CASE("a factor that never changes a success is not thereby known to do nothing", "[experiment][statistics]") {
  const std::vector<std::vector<double>> cells(2, std::vector<double>{1, 0, 1, 1, 0, 1});
  const std::vector<std::string> factors{"a"};
  const auto effects = factorial_effects(factors, cells, metric_scale::success);
  CHECK(effects[0].estimate.mean == 0.0);
  CHECK(effects[0].p == 1.0);
  CHECK(effects[0].range.high > 0.1);
}

TEST_CASE("templates are what is independent in a factorial too", "[experiment][statistics]") {
  test::random_values random(1);
  std::vector<std::vector<double>> cells(2, std::vector<double>(40));
  std::vector<std::int64_t> clusters;
  for (std::size_t i = 0; i < 40; ++i) {
    clusters.push_back(static_cast<std::int64_t>(i / 4));
    cells[1][i] = i % 4 == 0 ? random.normal() + 0.5 : cells[1][i - 1];
  }
  const std::vector<std::string> factors{"a"};
  const auto plain = factorial_effects(factors, cells, metric_scale::continuous);
  const auto clustered = factorial_effects(factors, cells, metric_scale::continuous, clusters);
  CHECK(clustered[0].estimate.units == 10);
  CHECK(clustered[0].p > plain[0].p);
}

TEST_CASE("a crossing with gaps is refused", "[experiment][statistics]") {
  const std::vector<double> values{1, 2, 3};
  const std::vector<std::string> two{"a", "b"};
  const std::vector<std::string> twice{"a", "a"};
  const std::vector<std::string> many(11, "a");
  const auto effects_of = [](const std::vector<std::string>& factors, const std::vector<std::vector<double>>& cells) {
    return factorial_effects(factors, cells, metric_scale::continuous);
  };
  CHECK_THROWS_AS(effects_of(two, {values, values, values}), shape_error);
  CHECK_THROWS_AS(effects_of(two, {values, values, values, {1, 2}}), shape_error);
  CHECK_THROWS_AS(effects_of(two, {{}, {}, {}, {}}), shape_error);
  CHECK_THROWS_AS(effects_of(two, {values, values, values, {1, 2, std::numeric_limits<double>::quiet_NaN()}}),
                  value_error);
  CHECK_THROWS_AS(effects_of(twice, {values, values, values, values}), value_error);
  CHECK_THROWS_AS(effects_of({}, {values}), value_error);
  CHECK_THROWS_AS(effects_of(many, {values}), value_error);
}
