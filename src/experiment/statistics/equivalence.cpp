#include "kvtransfer/experiment/statistics/equivalence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "checks.hpp"
#include "distributions.hpp"

namespace kvtransfer::statistics {

namespace {

void require_settings(double margin, double alpha) {
  detail::require_positive("equivalence_test", "margin", margin);
  if (!(alpha > 0 && alpha < 0.5)) {
    fail<value_error>("equivalence_test", "alpha", "above 0 and below 0.5", fmt::format("{}", alpha));
  }
}

/// `distance` in standard errors; for success in those that the spread about a mean so far away would give, which are
/// those of the spread about the mean times √((1 + t²/(C − 1)) · (C − 1)/C).
double deviation(const mean_estimate& estimate, double distance) {
  const double t = distance / estimate.standard_error;
  if (estimate.scale == metric_scale::continuous) {
    return t;
  }
  const double units = static_cast<double>(estimate.units);
  return t / std::sqrt((1 + t * t / (units - 1)) * (units - 1) / units);
}

/// The least α whose 1 − 2α interval lies inside the margin.
double p_of_interval(const paired_counts& counts, double margin) {
  // In z rather than in α: it moves as the interval's width does. Beyond z = 38 a tail is 0 in double.
  double inside = 0;
  double outside = 38;
  for (int step = 0; step < 60; ++step) {
    const double z = (inside + outside) / 2;
    const double confidence = 2 * detail::normal_cdf(z) - 1;
    const bool fits = confidence <= 0 || (confidence < 1 && newcombe(counts, confidence).inside(margin));
    (fits ? inside : outside) = z;
  }
  return detail::normal_cdf(-inside);
}

/// Tango's score test of "the difference is `margin` or more": its deviation by the standard error under the most
/// likely table that has just that difference.
double p_of_score(const paired_counts& counts, double margin) {
  const double n = static_cast<double>(counts.prompts());
  const double only_a = static_cast<double>(counts.only_a);
  const double only_b = static_cast<double>(counts.only_b);
  const double linear = -only_a - only_b + (2 * n - only_a + only_b) * margin;
  const double constant = -only_b * margin * (1 - margin);
  const double share_of_b = (std::sqrt(linear * linear - 8 * n * constant) - linear) / (4 * n);
  const double variance = n * (2 * share_of_b + margin * (1 - margin));
  return detail::normal_cdf((only_a - only_b - n * margin) / std::sqrt(variance));
}

}  // namespace

equivalence_result equivalence_test(const mean_estimate& estimate, double margin, double alpha) {
  require_settings(margin, alpha);
  // For success the mean, not the center: drawn towards 0, it would look more equivalent than it is.
  const double inside_by = margin - std::abs(estimate.mean);
  const double p = estimate.standard_error > 0
                       ? detail::student_upper_tail(estimate.degrees_of_freedom, deviation(estimate, inside_by))
                       : (inside_by > 0 ? 0.0 : 1.0);
  const interval range = interval_of(estimate, 1 - 2 * alpha);
  return {p, range, p < alpha};
}

equivalence_result equivalence_test(const paired_counts& counts, double margin, double alpha) {
  require_settings(margin, alpha);
  detail::require_fraction("equivalence_test", "margin", margin);
  const interval range = newcombe(counts, 1 - 2 * alpha);
  double p = 1;
  if (std::abs(counts.difference()) < margin) {
    p = std::max({p_of_interval(counts, margin), p_of_score(counts, margin), p_of_score(counts.swapped(), margin)});
  }
  return {p, range, p < alpha};
}

}  // namespace kvtransfer::statistics
