#include "experiment/summary/crossings.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "kvtransfer/experiment/statistics/factorial.hpp"

namespace kvtransfer::detail {

namespace {

/// A condition's levels by factor.
std::map<std::string, std::string> levels_by_factor(const condition_description& condition) {
  return {condition.factors.begin(), condition.factors.end()};
}

/// Factors of a run, those of sweeps apart, and their levels in order of appearance.
std::map<std::string, std::vector<std::string>> crossed_levels(const results& run) {
  std::map<std::string, std::vector<std::string>> levels;
  for (const condition_description& condition : run.conditions) {
    const auto factors = levels_by_factor(condition);
    for (const auto& [factor, level] : factors) {
      auto& known = levels[factor];
      if (!factors.contains("sweep") && std::find(known.begin(), known.end(), level) == known.end()) {
        known.push_back(level);
      }
    }
  }
  std::erase_if(levels, [](const auto& each) { return each.second.size() < 2; });
  return levels;
}

/// A full crossing of two levels each, in the order in which a table of effects wants its cells.
struct full_crossing {
  std::vector<std::string> factors;
  std::vector<std::string> low;
  std::vector<std::string> high;
  std::vector<std::string> cells;  ///< 2^k conditions
};

/// Finds the conditions of a crossing. @return false where one did not run
bool find_cells(const results& run, full_crossing& crossing) {
  for (std::size_t cell = 0; cell < (std::size_t{1} << crossing.factors.size()); ++cell) {
    const auto found = std::find_if(run.conditions.begin(), run.conditions.end(), [&](const auto& condition) {
      const auto levels = levels_by_factor(condition);
      for (std::size_t j = 0; j < crossing.factors.size(); ++j) {
        const auto level = levels.find(crossing.factors[j]);
        if (level == levels.end() || level->second != (((cell >> j) & 1U) != 0 ? crossing.high[j] : crossing.low[j])) {
          return false;
        }
      }
      return true;
    });
    if (found == run.conditions.end()) {
      return false;
    }
    crossing.cells.push_back(found->id);
  }
  return true;
}

/// The crossings of a run: of a factor with several levels, each with the first in turn. Those that lack a cell are
/// left out.
std::vector<full_crossing> crossings_of(const results& run) {
  const auto levels = crossed_levels(run);
  std::vector<full_crossing> crossings(1);
  if (levels.empty() || levels.size() > statistics::most_factors) {
    return {};
  }
  for (const auto& [factor, known] : levels) {
    std::vector<full_crossing> longer;
    for (const full_crossing& crossing : crossings) {
      for (std::size_t i = 1; i < known.size(); ++i) {
        longer.push_back(crossing);
        longer.back().factors.push_back(factor);
        longer.back().low.push_back(known.front());
        longer.back().high.push_back(known[i]);
      }
    }
    crossings = std::move(longer);
  }
  std::erase_if(crossings, [&](full_crossing& crossing) { return !find_cells(run, crossing); });
  return crossings;
}

}  // namespace

std::vector<factor_table> factor_effects(const results& run, const run_values& values) {
  std::vector<factor_table> tables;
  for (const full_crossing& crossing : crossings_of(run)) {
    for (const trial_metric& metric : trial_metrics()) {
      for (const std::string& variant : table_variants(run)) {
        if (const auto common = values_of_all(values, crossing.cells, variant, metric)) {
          tables.push_back(
              {metric.name, variant, crossing.low, crossing.high,
               statistics::factorial_effects(crossing.factors, common->cells, metric.scale, common->clusters)});
        }
      }
    }
  }
  return tables;
}

}  // namespace kvtransfer::detail
