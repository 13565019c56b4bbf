#include "kvtransfer/experiment/statistics/mean_estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "checks.hpp"
#include "cluster_sums.hpp"
#include "distributions.hpp"

namespace kvtransfer::statistics {

namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

constexpr const char* in_estimate_mean = "estimate_mean";

void require_rates(std::span<const double> differences) {
  for (std::size_t i = 0; i < differences.size(); ++i) {
    if (std::abs(differences[i]) > 1) {
      fail<value_error>(in_estimate_mean, fmt::format("differences[{}]", i), "a difference of rates, -1 to 1",
                        fmt::format("{}", differences[i]));
    }
  }
}

/// Satterthwaite's degrees of freedom of Σ_c w_c² (u_c − Σ w u)² / (1 − w_c), u independent and of one variance: from
/// trace² / trace of the square of the form's matrix.
/// @param weights each cluster's share of the prompts
double satterthwaite(std::span<const double> weights) {
  const double first = weights.front();
  if (std::all_of(weights.begin(), weights.end(), [&](double weight) { return weight == first; })) {
    return static_cast<double>(weights.size()) - 1;
  }
  const double squares = std::inner_product(weights.begin(), weights.end(), weights.begin(), 0.0);
  double trace = 0;
  double trace_of_square = 0;
  for (std::size_t c = 0; c < weights.size(); ++c) {
    for (std::size_t d = 0; d < weights.size(); ++d) {
      const double covariance = (c == d ? 1.0 : 0.0) - weights[c] - weights[d] + squares;
      const double entry = weights[c] * weights[d] * covariance / std::sqrt((1 - weights[c]) * (1 - weights[d]));
      trace += c == d ? entry : 0;
      trace_of_square += entry * entry;
    }
  }
  return trace * trace / trace_of_square;
}

}  // namespace

mean_estimate estimate_mean(std::span<const double> differences, std::span<const std::int64_t> clusters,
                            metric_scale scale) {
  detail::require_finite(in_estimate_mean, "differences", differences, 2);
  const bool smoothed = scale == metric_scale::success;
  if (smoothed) {
    require_rates(differences);
  }
  const auto members = detail::members_of_clusters(in_estimate_mean, differences.size(), clusters);
  require<value_error>(members.size() > 1, in_estimate_mean, "clusters", "2 or more different ones", "1");
  const double n = static_cast<double>(differences.size());
  const double total = smoothed ? n + 2 : n;
  const double mean = mean_of(differences);
  const double center = mean * n / total;
  double squares = smoothed ? 1 + 2 * center * center : 0;  // ½(1 − center)² + ½(−1 − center)² + center²
  std::vector<double> weights;
  for (const std::vector<std::size_t>& cluster : members) {
    double sum = 0;
    for (const std::size_t i : cluster) {
      sum += differences[i] - center;
    }
    weights.push_back(static_cast<double>(cluster.size()) / n);
    squares += sum * sum / (1 - weights.back());
  }
  return {mean,
          center,
          std::sqrt(squares) / total,
          satterthwaite(weights),
          static_cast<std::int64_t>(differences.size()),
          static_cast<std::int64_t>(members.size()),
          scale};
}

interval interval_of(const mean_estimate& estimate, double confidence) {
  detail::require_fraction("interval_of", "confidence", confidence);
  const double half_width =
      detail::student_quantile(estimate.degrees_of_freedom, (1 + confidence) / 2) * estimate.standard_error;
  const double most = estimate.scale == metric_scale::success ? 1 : std::numeric_limits<double>::infinity();
  return {std::max(estimate.center - half_width, -most), std::min(estimate.center + half_width, most)};
}

double two_sided_p(const mean_estimate& estimate) {
  if (estimate.center == 0) {
    return 1;
  }
  if (estimate.standard_error == 0) {
    return 0;
  }
  return 2 *
         detail::student_upper_tail(estimate.degrees_of_freedom, std::abs(estimate.center) / estimate.standard_error);
}

std::int64_t count_clusters(std::span<const std::int64_t> clusters) {
  return clusters.empty() ? 0
                          : static_cast<std::int64_t>(
                                detail::members_of_clusters("count_clusters", clusters.size(), clusters).size());
}

}  // namespace kvtransfer::statistics
