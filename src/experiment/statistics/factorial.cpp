#include "kvtransfer/experiment/statistics/factorial.hpp"

#include <fmt/format.h>

#include <set>

#include "checks.hpp"
#include "kvtransfer/experiment/statistics/holm.hpp"

namespace kvtransfer::statistics {

namespace {

constexpr const char* in_factorial_effects = "factorial_effects";

void require_crossing(std::span<const std::string> factors, std::span<const std::vector<double>> cells) {
  if (factors.empty() || factors.size() > most_factors) {
    fail<value_error>(in_factorial_effects, "factors", fmt::format("1 to {}", most_factors), fmt::format("{}", factors.size()));
  }
  std::set<std::string> names;
  for (const std::string& factor : factors) {
    if (!names.insert(factor).second) {
      fail<value_error>(in_factorial_effects, "factors", "different names", fmt::format("'{}' twice", factor));
    }
  }
  detail::require_length(in_factorial_effects, "cells", std::size_t{1} << factors.size(), cells.size());
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    const std::string name = fmt::format("cells[{}]", cell);
    detail::require_finite(in_factorial_effects, name, cells[cell], 2);
    detail::require_length(in_factorial_effects, name, cells[0].size(), cells[cell].size());
  }
}

/// Each prompt's Σ ± value / 2^(k−1): plus where an even number of the factors in `mask` are off.
std::vector<double> contrasts(std::size_t mask, std::span<const std::vector<double>> cells) {
  std::vector<double> values(cells[0].size(), 0.0);
  const double scale = 2.0 / static_cast<double>(cells.size());
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    bool plus = true;
    for (std::size_t off = mask & ~cell; off != 0; off &= off - 1) {
      plus = !plus;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] += plus ? scale * cells[cell][i] : -scale * cells[cell][i];
    }
  }
  return values;
}

}  // namespace

std::vector<factor_effect> factorial_effects(std::span<const std::string> factors,
                                             std::span<const std::vector<double>> cells, metric_scale scale,
                                             std::span<const std::int64_t> clusters,
                                             const sign_flip_settings& permutation) {
  require_crossing(factors, cells);
  std::vector<factor_effect> effects;
  std::vector<double> p_values;
  const auto add = [&](std::size_t mask, const std::string& factor, std::optional<std::string> with) {
    const std::vector<double> values = contrasts(mask, cells);
    const mean_estimate estimate = estimate_mean(values, clusters, scale);
    effects.push_back({factor, std::move(with), estimate, interval_of(estimate), two_sided_p(estimate),
                       sign_flip_test(values, clusters, permutation).p, 1.0});
    p_values.push_back(effects.back().p);
  };
  for (std::size_t j = 0; j < factors.size(); ++j) {
    add(std::size_t{1} << j, factors[j], std::nullopt);
  }
  for (std::size_t j = 0; j < factors.size(); ++j) {
    for (std::size_t k = j + 1; k < factors.size(); ++k) {
      add((std::size_t{1} << j) | (std::size_t{1} << k), factors[j], factors[k]);
    }
  }
  const std::vector<double> adjusted = holm(p_values);
  for (std::size_t i = 0; i < effects.size(); ++i) {
    effects[i].p_holm = adjusted[i];
  }
  return effects;
}

}  // namespace kvtransfer::statistics
