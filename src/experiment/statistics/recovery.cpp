#include "kvtransfer/experiment/statistics/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "checks.hpp"
#include "cluster_sums.hpp"
#include "distributions.hpp"
#include "experiment/statistics/philox.hpp"

namespace kvtransfer::statistics {

namespace {

constexpr const char* in_recover = "recover";

/// Σ numerators / Σ denominators over independent units; the number of prompts cancels.
struct ratio_units {
  std::vector<double> numerators;
  std::vector<double> denominators;

  [[nodiscard]] std::size_t count() const { return numerators.size(); }
};

double sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

std::vector<double> resampled_ratios(const ratio_units& units, const bootstrap_settings& settings) {
  std::vector<double> ratios(static_cast<std::size_t>(settings.draws));
  for (std::size_t draw = 0; draw < ratios.size(); ++draw) {
    double numerator = 0;
    double denominator = 0;
    for (std::size_t i = 0; i < units.count(); i += 4) {
      const auto bits = philox(settings.seed, draw, i / 4);
      for (std::size_t k = 0; k < std::min<std::size_t>(4, units.count() - i); ++k) {
        const auto chosen = static_cast<std::size_t>((std::uint64_t{bits[k]} * units.count()) >> 32);
        numerator += units.numerators[chosen];
        denominator += units.denominators[chosen];
      }
    }
    ratios[draw] = denominator == 0 ? HUGE_VAL : numerator / denominator;  // so rare that its value decides nothing
  }
  std::sort(ratios.begin(), ratios.end());
  return ratios;
}

/// A sixth of the skewness of the ratio with one unit left out; 0 where leaving out changes nothing.
double acceleration(const ratio_units& units) {
  const double numerator = sum(units.numerators);
  const double denominator = sum(units.denominators);
  std::vector<double> without(units.count());
  for (std::size_t i = 0; i < units.count(); ++i) {
    without[i] = (numerator - units.numerators[i]) / (denominator - units.denominators[i]);
  }
  const double center = sum(without) / static_cast<double>(without.size());
  double squares = 0;
  double cubes = 0;
  for (const double ratio : without) {
    squares += (center - ratio) * (center - ratio);
    cubes += (center - ratio) * (center - ratio) * (center - ratio);
  }
  const double value = cubes / (6 * std::pow(squares, 1.5));
  return std::isfinite(value) ? value : 0;
}

double quantile_of_sorted(std::span<const double> sorted, double probability) {
  const double place = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double above = sorted[std::min(below + 1, sorted.size() - 1)];
  const double part = place - static_cast<double>(below);
  return part == 0 ? sorted[below] : sorted[below] + part * (above - sorted[below]);
}

interval bca(const ratio_units& units, double ratio, const bootstrap_settings& settings) {
  const std::vector<double> ratios = resampled_ratios(units, settings);
  // Ties count half, and those that differ by rounding are ties.
  const double slack = 1e-12 * std::abs(ratio);
  const auto below = std::lower_bound(ratios.begin(), ratios.end(), ratio - slack) - ratios.begin();
  const auto up_to = std::upper_bound(ratios.begin(), ratios.end(), ratio + slack) - ratios.begin();
  const double draws = static_cast<double>(ratios.size());
  const double share_below = std::clamp(static_cast<double>(below + up_to) / (2 * draws), 0.5 / draws, 1 - 0.5 / draws);
  const double bias = detail::normal_quantile(share_below);
  const double skew = acceleration(units);
  const auto end_at = [&](double z) {
    const double shifted = bias + z;
    return quantile_of_sorted(ratios, detail::normal_cdf(bias + shifted / (1 - skew * shifted)));
  };
  const double z = detail::two_sided_normal(default_confidence);
  return {end_at(-z), end_at(z)};
}

std::vector<double> differences(std::span<const double> a, std::span<const double> b) {
  std::vector<double> values(a.size());
  std::transform(a.begin(), a.end(), b.begin(), values.begin(), std::minus<>());
  return values;
}

}  // namespace

recovery recover(const recovery_values& values, metric_scale scale, std::span<const std::int64_t> clusters,
                 const bootstrap_settings& settings) {
  if (settings.draws < 1) {
    fail<value_error>(in_recover, "draws", "1 or more", fmt::format("{}", settings.draws));
  }
  const auto check = [&](const char* name, std::span<const double> of_condition) {
    detail::require_finite(in_recover, name, of_condition, 2);
    detail::require_length(in_recover, name, values.none.size(), of_condition.size());
  };
  check("none", values.none);
  check("other", values.other);
  check("current", values.current);
  check("oracle", values.oracle);
  const auto estimate = [&](const std::vector<double>& of_prompts) {
    return estimate_mean(of_prompts, clusters, scale);
  };
  const std::vector<double> content = differences(values.current, values.other);
  const std::vector<double> possible = differences(values.oracle, values.other);
  recovery found{estimate(differences(values.other, values.none)), estimate(content), estimate(possible), std::nullopt};
  if (!interval_of(found.possible, clear_denominator_confidence).holds(0)) {
    const ratio_units units{detail::cluster_sums(in_recover, content, clusters),
                            detail::cluster_sums(in_recover, possible, clusters)};
    const double share = sum(units.numerators) / sum(units.denominators);
    found.share = recovered_share{share, bca(units, share, settings)};
  }
  return found;
}

}  // namespace kvtransfer::statistics
