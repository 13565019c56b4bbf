#include "kvtransfer/experiment/statistics/sign_flip.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "expected_lines.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/statistics/paired_counts.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::sign_flip_test;

namespace {

/// Counts every assignment one by one.
double share_by_enumeration(const std::vector<double>& values) {
  double observed = 0;
  for (const double value : values) {
    observed += value;
  }
  std::int64_t reached = 0;
  const std::size_t assignments = std::size_t{1} << values.size();
  for (std::size_t signs = 0; signs < assignments; ++signs) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      sum += (signs >> i) & 1 ? values[i] : -values[i];
    }
    reached += std::abs(sum) >= std::abs(observed) - 1e-9 ? 1 : 0;
  }
  return static_cast<double>(reached) / static_cast<double>(assignments);
}

}  // namespace

TEST_CASE("sign flips equal scipy's permutation test of samples", "[experiment][statistics]") {
  int checked = 0;
  for (const test::expected_line& line : test::expected_lines("differences")) {
    if (line.has("sign_flip_p")) {
      const statistics::sign_flip_result result = sign_flip_test(line.numbers("values"));
      CHECK(result.exact);
      CHECK(result.p == Approx(line.number("sign_flip_p")).epsilon(1e-12));
      ++checked;
    }
  }
  CHECK(checked == 2);
}

TEST_CASE("matched half sums count what counting one by one does", "[experiment][statistics]") {
  test::random_values random(1);
  for (std::int64_t n = 1; n <= 13; ++n) {
    std::vector<double> values = random.normals(n);
    CHECK(sign_flip_test(values).p == Approx(share_by_enumeration(values)).epsilon(1e-12));
    for (double& value : values) {
      value = 0.1 * std::round(3 * value);  // many ties, and tenths are not exact in binary
    }
    CHECK(sign_flip_test(values).p == Approx(share_by_enumeration(values)).epsilon(1e-12));
  }
}

TEST_CASE("sign flips of yes and no are McNemar's exact test", "[experiment][statistics]") {
  for (std::int64_t only_a = 0; only_a <= 16; ++only_a) {
    for (std::int64_t only_b = 0; only_b <= 16; ++only_b) {
      std::vector<double> differences(7, 0.0);
      differences.insert(differences.end(), static_cast<std::size_t>(only_a), 1.0);
      differences.insert(differences.end(), static_cast<std::size_t>(only_b), -1.0);
      CHECK(sign_flip_test(differences).p == Approx(statistics::mcnemar({7, only_a, only_b, 0}).exact).epsilon(1e-12));
    }
  }
}

TEST_CASE("drawn flips come close to counted ones and repeat with their seed", "[experiment][statistics]") {
  test::random_values random(2);
  std::vector<double> values = random.normals(25);
  for (double& value : values) {
    value += 0.35;
  }
  const double exact = sign_flip_test(values).p;
  const statistics::sign_flip_settings drawn{.seed = 11, .draws = 100000, .exact_up_to = 0};
  const statistics::sign_flip_result result = sign_flip_test(values, {}, drawn);
  CHECK_FALSE(result.exact);
  CHECK(result.p == Approx(exact).margin(5 * std::sqrt(exact / 100000)));
  CHECK(sign_flip_test(values, {}, drawn).p == result.p);
  CHECK(sign_flip_test(values, {}, {.seed = 12, .draws = 100000, .exact_up_to = 0}).p != result.p);
  // With more than 128 units a draw takes more than one block of bits.
  const std::vector<double> sure(300, 1.0);
  CHECK(sign_flip_test(sure, {}, {.draws = 999}).p == Approx(1.0 / 1000));
}

TEST_CASE("clusters flip as a whole", "[experiment][statistics]") {
  const std::vector<double> differences{1, 1, 1, 2, 2, -1, 4};
  const std::vector<std::int64_t> clusters{5, 5, 5, 1, 1, 1, 0};
  const std::vector<double> sums{3, 3, 4};
  CHECK(sign_flip_test(differences, clusters).p == sign_flip_test(sums).p);
  CHECK(sign_flip_test(sums).p == Approx(2.0 / 8));
}

TEST_CASE("sign flips see no difference where there is none", "[experiment][statistics]") {
  CHECK(sign_flip_test(std::vector<double>(50, 0.0)).p == 1.0);
  CHECK(sign_flip_test(std::vector<double>{0.1, 0.2, -0.3}).p == 1.0);
  CHECK(sign_flip_test(std::vector<double>{2.0}).p == 1.0);
}

TEST_CASE("sign flips refuse what they cannot flip", "[experiment][statistics]") {
  const std::vector<double> two{1, 2};
  const std::vector<double> unknown{1, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<std::int64_t> three{0, 1, 2};
  const std::vector<std::int64_t> negative{0, -3};
  CHECK_THROWS_AS(sign_flip_test({}), shape_error);
  CHECK_THROWS_AS(sign_flip_test(unknown), value_error);
  CHECK_THROWS_AS(sign_flip_test(two, three), shape_error);
  CHECK_THROWS_AS(sign_flip_test(two, negative), value_error);
  CHECK_THROWS_AS(sign_flip_test(two, {}, {.draws = 0}), value_error);
  CHECK_THROWS_AS(sign_flip_test(two, {}, {.exact_up_to = 64}), value_error);
}
