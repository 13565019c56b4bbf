#include "kvtransfer/experiment/statistics/power.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::smallest_effect;

TEST_CASE("prompts needed equal the textbook's figures", "[experiment][statistics]") {
  CHECK(statistics::prompts_to_see(0.05, 0.25) == 785);
  CHECK(statistics::prompts_to_see(0.05, 0.10) == 314);
  CHECK(statistics::prompts_to_equate(0.03, 0.10) == 952);
  CHECK(statistics::prompts_to_equate(0.03, 0.05) == 476);
  CHECK(statistics::prompts_to_equate(0.05, 0.10) == 343);
}

TEST_CASE("McNemar's power equals a sum over every table in scipy", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("power")) {
    CHECK(statistics::mcnemar_power(line.integers("n")[0], line.number("only_a"), line.number("only_b")) ==
          Approx(line.number("power")).epsilon(1e-9));
  }
  CHECK(statistics::mcnemar_power(50, 0, 0) == 0.0);
  CHECK(statistics::mcnemar_power(50, 1, 0) == Approx(1));
}

TEST_CASE("the smallest effect is where the power is what was asked", "[experiment][statistics]") {
  for (const statistics::paired_counts counts :
       {statistics::paired_counts{60, 0, 0, 20}, {150, 30, 9, 11}, {10, 4, 3, 30}}) {
    const double n = static_cast<double>(counts.prompts());
    const double either_way = (static_cast<double>(std::min(counts.only_a, counts.only_b)) + 0.5) / (n + 2);
    const std::optional<double> effect = smallest_effect(counts);
    REQUIRE(effect);
    CHECK(statistics::mcnemar_power(counts.prompts(), either_way + *effect, either_way) == Approx(0.8).epsilon(1e-6));
    CHECK(smallest_effect(counts.swapped()) == effect);
    CHECK(smallest_effect(counts, 0.01).value() > *effect);
    CHECK(smallest_effect(counts, 0.05, 0.9).value() > *effect);
  }
  // As the textbook has it: 785 prompts see 5 points where a quarter of them is discordant.
  CHECK(smallest_effect(statistics::paired_counts{400, 78, 78, 229}).value() == Approx(0.05).margin(0.001));
}

TEST_CASE("five prompts could not have seen any difference in an exact test, nor one of a usual size",
          "[experiment][statistics]") {
  CHECK_FALSE(smallest_effect(statistics::paired_counts{3, 0, 0, 1}));
  CHECK_FALSE(smallest_effect(statistics::paired_counts{0, 2, 2, 1}));
  CHECK_FALSE(smallest_effect(statistics::paired_counts{5, 0, 0, 0}, 0.01));
}

TEST_CASE("more prompts see smaller effects", "[experiment][statistics]") {
  double before = 1;
  for (const std::int64_t n : {20, 40, 80, 160, 320}) {
    const double effect =
        smallest_effect(statistics::paired_counts{n / 2, n / 10, n / 10, n - n / 2 - 2 * (n / 10)}).value();
    CHECK(effect < before);
    before = effect;
  }
}

TEST_CASE("a t test finds its smallest effect in four runs of five", "[experiment][statistics]") {
  test::random_values random(1);
  int found = 0;
  const double effect = smallest_effect(statistics::mean_estimate{0, 0, 1 / std::sqrt(30.0), 29, 30, 30});
  for (int run = 0; run < 4000; ++run) {
    std::vector<double> values = random.normals(30);
    for (double& value : values) {
      value += effect;
    }
    found += statistics::two_sided_p(statistics::estimate_mean(values)) <= 0.05 ? 1 : 0;
  }
  CHECK(found / 4000.0 == Approx(0.8).margin(0.025));
}

TEST_CASE("power is not asked of impossible settings", "[experiment][statistics]") {
  CHECK_THROWS_AS(statistics::prompts_to_see(0, 0.1), value_error);
  CHECK_THROWS_AS(statistics::prompts_to_see(0.1, -1), value_error);
  CHECK_THROWS_AS(statistics::prompts_to_equate(std::nan(""), 0.1), value_error);
  CHECK_THROWS_AS(statistics::prompts_to_see(0.1, 0.1, 0.05, 1.0), value_error);
  CHECK_THROWS_AS(statistics::mcnemar_power(0, 0.1, 0.1), value_error);
  CHECK_THROWS_AS(statistics::mcnemar_power(10, 0.8, 0.3), value_error);
  CHECK_THROWS_AS(smallest_effect(statistics::paired_counts{1, 1, -1, 1}), value_error);
}
