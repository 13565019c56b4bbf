#pragma once

namespace kvtransfer::statistics::detail {

/// Quantiles and tails, through Boost.Math. Each takes what its distribution is defined for: callers have checked.
[[nodiscard]] double normal_quantile(double probability);
[[nodiscard]] double normal_cdf(double value);
[[nodiscard]] double student_quantile(double degrees_of_freedom, double probability);
/// P(T > value).
[[nodiscard]] double student_upper_tail(double degrees_of_freedom, double value);
[[nodiscard]] double binomial_pmf(double trials, double probability, double successes);
[[nodiscard]] double binomial_cdf(double trials, double probability, double successes);

/// The normal quantile z of a two-sided interval: P(−z < Z < z) = confidence.
[[nodiscard]] double two_sided_normal(double confidence);

}  // namespace kvtransfer::statistics::detail
