#include "experiment/summary/comparisons.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/experiment/statistics/paired_comparison.hpp"

namespace kvtransfer::detail {

namespace {

statistics::comparison_request request_for(const results& run, const trial_metric& metric, std::string a,
                                           std::string b) {
  statistics::comparison_request request;
  request.a = std::move(a);
  request.b = std::move(b);
  request.metric = metric.name;
  request.scale = metric.scale;
  if (metric.scale == statistics::metric_scale::success) {
    request.margin = run.settings.margin;
  }
  return request;
}

/// Two lists compared on what both have; nothing where that is nothing.
std::optional<statistics::paired_comparison> compared_values(
    const statistics::comparison_request& request, const prompt_values& a, const prompt_values& b,
    const std::function<std::vector<std::int64_t>(const std::vector<std::string>&)>& clusters) {
  const std::vector<std::string> names = common_names({a, b});
  if (names.empty()) {
    return std::nullopt;
  }
  return statistics::compare(request, values_at(a, names), values_at(b, names), clusters(names));
}

/// Adjusts the outcomes of one metric to one another.
template <class Comparison>
void adjust_outcomes(std::vector<Comparison>& all, const std::string& metric) {
  std::vector<statistics::paired_comparison> family;
  for (const Comparison& each : all) {
    if (each.outcome.metric == metric) {
      family.push_back(each.outcome);
    }
  }
  statistics::adjust_family(family);
  std::size_t next = 0;
  for (Comparison& each : all) {
    if (each.outcome.metric == metric) {
      each.outcome = family[next++];
    }
  }
}

}  // namespace

std::vector<condition_comparison> compared_conditions(const results& run, const run_values& values) {
  std::vector<condition_comparison> compared;
  for (const trial_metric& metric : trial_metrics()) {
    for (const std::string& variant : table_variants(run)) {
      for (const std::string& a : questioned_conditions(run)) {
        for (const std::string& b : control_conditions(run, a)) {
          const auto outcome =
              compared_values(request_for(run, metric, a, b), values.of(a, variant, metric),
                              values.of(b, variant, metric), [&](const auto& names) { return values.clusters(names); });
          if (outcome) {
            compared.push_back({variant, *outcome});
          }
        }
      }
    }
    adjust_outcomes(compared, metric.name);
  }
  return compared;
}

std::vector<variant_comparison> compared_variants(const results& run, const run_values& values) {
  std::vector<variant_comparison> compared;
  const std::vector<std::string> variants = table_variants(run);
  if (variants.size() < 2 || std::find(variants.begin(), variants.end(), "") != variants.end()) {
    return compared;
  }
  for (const trial_metric& metric : trial_metrics()) {
    for (const condition_description& condition : run.conditions) {
      for (std::size_t i = 1; i < variants.size(); ++i) {
        const auto outcome = compared_values(request_for(run, metric, variants[0], variants[i]),
                                             values.by_item(values.of(condition.id, variants[0], metric)),
                                             values.by_item(values.of(condition.id, variants[i], metric)),
                                             [&](const auto& items) { return values.item_clusters(items); });
        if (outcome) {
          compared.push_back({condition.id, *outcome});
        }
      }
    }
    adjust_outcomes(compared, metric.name);
  }
  return compared;
}

}  // namespace kvtransfer::detail
