#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A range that holds the true value with some confidence.
struct interval {
  double low = 0.0;
  double high = 1.0;

  friend bool operator==(const interval&, const interval&) = default;
};

/// How often something happened in independent trials.
struct proportion {
  std::int64_t successes = 0;
  std::int64_t trials = 0;

  double rate() const { return trials == 0 ? 0.0 : static_cast<double>(successes) / static_cast<double>(trials); }

  friend bool operator==(const proportion&, const proportion&) = default;
};

/// The 97.5 % quantile of the standard normal distribution: two-sided 95 % confidence.
inline constexpr double normal_quantile_975 = 1.959963984540054;

/// Wilson's score interval of a proportion; `[0, 1]` for no trials. Unlike the textbook interval p ± z·√(p(1−p)/n) it
/// keeps about its confidence at few trials and does not collapse to a point at none or all.
/// @param z normal quantile of the confidence, two-sided
/// @throws value_error unless 0 ≤ successes ≤ trials
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927),
/// 209–212; recommended for small n by Brown, Cai & DasGupta, "Interval estimation for a binomial proportion", Stat.
/// Sci. 16 (2001).
inline interval wilson_interval(proportion observed, double z = normal_quantile_975) {
  if (observed.successes < 0 || observed.successes > observed.trials) {
    fail<value_error>("wilson_interval", "successes", fmt::format("0 to {}", observed.trials),
                      fmt::format("{}", observed.successes));
  }
  if (observed.trials == 0) {
    return {};
  }
  const double n = static_cast<double>(observed.trials);
  const double p = observed.rate();
  const double center = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half_width = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, center - half_width), std::min(1.0, center + half_width)};
}

}  // namespace kvtransfer
