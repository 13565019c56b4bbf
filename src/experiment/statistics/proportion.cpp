#include "kvtransfer/experiment/statistics/proportion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>

#include "checks.hpp"
#include "distributions.hpp"

namespace kvtransfer::statistics {

namespace {

void require_counts(const char* where, proportion observed, double confidence) {
  detail::require_fraction(where, "confidence", confidence);
  if (observed.trials < 0) {
    fail<value_error>(where, "trials", "0 or more", fmt::format("{}", observed.trials));
  }
  if (observed.successes < 0 || observed.successes > observed.trials) {
    fail<value_error>(where, "successes", fmt::format("0 to {}", observed.trials),
                      fmt::format("{}", observed.successes));
  }
}

}  // namespace

interval wilson(proportion observed, double confidence) {
  require_counts("wilson", observed, confidence);
  if (observed.trials == 0) {
    return {};
  }
  const double z = detail::two_sided_normal(confidence);
  const double n = static_cast<double>(observed.trials);
  const double p = observed.rate();
  const double center = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half_width = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  // At none and all the ends are 0 and 1; rounding must not move them, a rate must lie in its interval.
  return {observed.successes == 0 ? 0.0 : std::max(0.0, center - half_width),
          observed.successes == observed.trials ? 1.0 : std::min(1.0, center + half_width)};
}

interval clopper_pearson(proportion observed, double confidence) {
  require_counts("clopper_pearson", observed, confidence);
  if (observed.trials == 0) {
    return {};
  }
  using exact = boost::math::binomial_distribution<>;
  const double n = static_cast<double>(observed.trials);
  const double x = static_cast<double>(observed.successes);
  const double tail = (1 - confidence) / 2;
  return {exact::find_lower_bound_on_p(n, x, tail), exact::find_upper_bound_on_p(n, x, tail)};
}

}  // namespace kvtransfer::statistics
