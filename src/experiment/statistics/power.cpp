#include "kvtransfer/experiment/statistics/power.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.hpp"
#include "distributions.hpp"

namespace kvtransfer::statistics {

namespace {

void require_errors(const char* where, double alpha, double power) {
  detail::require_fraction(where, "alpha", alpha);
  detail::require_fraction(where, "power", power);
}

std::int64_t prompts_for(double quantiles, double variance, double effect) {
  return static_cast<std::int64_t>(std::ceil(quantiles * quantiles * variance / (effect * effect)));
}

/// For every number of discordant prompts up to `most`, the largest smaller side at which mid-p rejects; −1 where
/// nothing does. More discordant prompts never lower it.
std::vector<std::int64_t> rejected_up_to(std::int64_t most, double alpha) {
  std::vector<std::int64_t> largest;
  std::int64_t fewer = -1;
  for (std::int64_t discordant = 0; discordant <= most; ++discordant) {
    const auto rejects = [&](std::int64_t side) {
      return 2 * side < discordant && mcnemar({0, discordant - side, side, 0}).mid <= alpha;
    };
    while (rejects(fewer + 1)) {
      ++fewer;
    }
    largest.push_back(fewer);
  }
  return largest;
}

/// The probability that the test rejects in the right direction, for true shares `only_a` > `only_b` of discordant
/// prompts. `rejected` has an entry for each number of them up to the number of prompts.
double power_of(const std::vector<std::int64_t>& rejected, double only_a, double only_b) {
  const double n = static_cast<double>(rejected.size() - 1);
  const double discordant = std::min(1.0, only_a + only_b);
  if (discordant == 0) {
    return 0;
  }
  const double reach = 10 * std::sqrt(n * discordant * (1 - discordant)) + 1;  // beyond: below 1e-20
  const auto first = static_cast<std::int64_t>(std::max(0.0, std::floor(n * discordant - reach)));
  const auto last = static_cast<std::int64_t>(std::min(n, std::ceil(n * discordant + reach)));
  double power = 0;
  for (std::int64_t count = first; count <= last; ++count) {
    const std::int64_t fewer = rejected[static_cast<std::size_t>(count)];
    if (fewer >= 0) {
      const double among = static_cast<double>(count);
      power += detail::binomial_pmf(n, discordant, among) *
               detail::binomial_cdf(among, only_b / discordant, static_cast<double>(fewer));
    }
  }
  return power;
}

}  // namespace

std::int64_t prompts_to_see(double effect, double variance, double alpha, double power) {
  detail::require_positive("prompts_to_see", "effect", effect);
  detail::require_positive("prompts_to_see", "variance", variance);
  require_errors("prompts_to_see", alpha, power);
  return prompts_for(detail::normal_quantile(1 - alpha / 2) + detail::normal_quantile(power), variance, effect);
}

std::int64_t prompts_to_equate(double margin, double variance, double alpha, double power) {
  detail::require_positive("prompts_to_equate", "margin", margin);
  detail::require_positive("prompts_to_equate", "variance", variance);
  require_errors("prompts_to_equate", alpha, power);
  return prompts_for(detail::normal_quantile(1 - alpha) + detail::normal_quantile((1 + power) / 2), variance, margin);
}

double smallest_effect(const mean_estimate& estimate, double alpha, double power) {
  require_errors("smallest_effect", alpha, power);
  return (detail::student_quantile(estimate.degrees_of_freedom, 1 - alpha / 2) +
          detail::student_quantile(estimate.degrees_of_freedom, power)) *
         estimate.standard_error;
}

double mcnemar_power(std::int64_t prompts, double only_a, double only_b, double alpha) {
  detail::require_fraction("mcnemar_power", "alpha", alpha);
  if (prompts < 1) {
    fail<value_error>("mcnemar_power", "prompts", "1 or more", fmt::format("{}", prompts));
  }
  if (!(only_a >= 0 && only_b >= 0 && only_a + only_b <= 1)) {
    fail<value_error>("mcnemar_power", "only_a, only_b", "shares that sum to at most 1",
                      fmt::format("{}, {}", only_a, only_b));
  }
  return power_of(rejected_up_to(prompts, alpha), only_a, only_b);
}

std::optional<double> smallest_effect(const paired_counts& counts, double alpha, double power) {
  require_errors("smallest_effect", alpha, power);
  require<value_error>(std::min({counts.both, counts.only_a, counts.only_b, counts.neither}) >= 0, "smallest_effect",
                       "counts", "0 or more", "a negative one");
  const double n = static_cast<double>(counts.prompts());
  const double either_way = (static_cast<double>(std::min(counts.only_a, counts.only_b)) + 0.5) / (n + 2);
  const std::vector<std::int64_t> rejected = rejected_up_to(counts.prompts(), alpha);
  const auto power_at = [&](double effect) { return power_of(rejected, either_way + effect, either_way); };
  double missed = 0;
  double seen = 1 - 2 * either_way;
  if (power_at(seen) < power) {
    return std::nullopt;
  }
  for (int step = 0; step < 40; ++step) {
    const double effect = (missed + seen) / 2;
    (power_at(effect) < power ? missed : seen) = effect;
  }
  return seen;
}

}  // namespace kvtransfer::statistics
