#include "kvtransfer/experiment/statistics/holm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;

TEST_CASE("Holm's adjustment equals that of statsmodels", "[experiment][statistics]") {
  for (const test::expected_line& line : test::expected_lines("holm")) {
    const std::vector<double> adjusted = statistics::holm(line.numbers("p"));
    REQUIRE(adjusted.size() == line.numbers("adjusted").size());
    for (std::size_t i = 0; i < adjusted.size(); ++i) {
      CHECK(adjusted[i] == Approx(line.numbers("adjusted")[i]).margin(1e-15));
    }
  }
}

TEST_CASE("an adjusted p is between the raw one and Bonferroni's, and keeps the order", "[experiment][statistics]") {
  test::random_values random(1);
  for (int round = 0; round < 100; ++round) {
    std::vector<double> raw;
    for (int i = 0; i < 9; ++i) {
      raw.push_back(std::pow(random.uniform(), 4));
    }
    const std::vector<double> adjusted = statistics::holm(raw);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      CHECK(adjusted[i] >= raw[i]);
      CHECK(adjusted[i] <= std::min(1.0, 9 * raw[i]));
      for (std::size_t j = 0; j < raw.size(); ++j) {
        CHECK((raw[i] > raw[j] || adjusted[i] <= adjusted[j]));
      }
    }
    CHECK(*std::min_element(adjusted.begin(), adjusted.end()) ==
          std::min(1.0, 9 * *std::min_element(raw.begin(), raw.end())));
  }
  CHECK(statistics::holm({}).empty());
}

TEST_CASE("what is no probability is not adjusted", "[experiment][statistics]") {
  CHECK_THROWS_AS(statistics::holm(std::vector<double>{0.1, 1.1}), value_error);
  CHECK_THROWS_AS(statistics::holm(std::vector<double>{-0.1}), value_error);
  CHECK_THROWS_WITH(statistics::holm(std::vector<double>{0.1, std::nan("")}),
                    "holm: p_values[1]: expected 0 to 1, got nan");
}
