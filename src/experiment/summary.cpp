#include "kvtransfer/experiment/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string_view>

#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/statistics/by_prompt.hpp"

namespace kvtransfer {

namespace detail {

/// A number that each trial has, and what it can be.
struct trial_metric {
  std::string name;
  statistics::metric_scale scale;
  std::optional<double> (*of)(const test_case&, const trial_record&);
};

const std::vector<trial_metric>& trial_metrics() {
  using enum statistics::metric_scale;
  static const std::vector<trial_metric> all = {
      {"success", success,
       [](const test_case& test, const trial_record& trial) {
         return std::optional(succeeded(test, trial) ? 1.0 : 0.0);
       }},
      {"stalled", success,
       [](const test_case&, const trial_record& trial) { return std::optional(trial.stalled ? 1.0 : 0.0); }},
      {"marker_log_prob", continuous,
       [](const test_case&, const trial_record& trial) { return trial.marker_log_prob; }},
  };
  return all;
}

/// A metric of each prompt, the mean of its trials; a prompt whose trials lack it is left out.
using prompt_values = std::map<std::string, double>;

/// Looks values up in a run's records.
class run_values {
 public:
  explicit run_values(const results& run) : run_(run) {
    for (const test_record& test : run.tests) {
      grouped_ = grouped_ || !test.test.group.empty();
      groups_[test.test.name] = test.test.group.empty() ? "test " + test.test.name : "group " + test.test.group;
      items_[test.test.name] = test.test.item;
    }
  }

  /// @param variant empty: of all tests
  [[nodiscard]] prompt_values of(const std::string& condition, const std::string& variant,
                                 const trial_metric& metric) const {
    prompt_values values;
    for (const test_record& test : run_.tests) {
      const condition_record* record = test.find(condition);
      if (record == nullptr || record->trials.empty() || (!variant.empty() && test.test.variant != variant)) {
        continue;
      }
      double sum = 0.0;
      bool complete = true;
      for (const trial_record& trial : record->trials) {
        const std::optional<double> value = metric.of(test.test, trial);
        complete = complete && value && std::isfinite(*value);
        sum += value.value_or(0.0);
      }
      if (complete) {
        values[test.test.name] = sum / static_cast<double>(record->trials.size());
      }
    }
    return values;
  }

  /// By the item that each test is a variant of.
  [[nodiscard]] prompt_values by_item(const prompt_values& values) const {
    prompt_values items;
    for (const auto& [test, value] : values) {
      items[items_.at(test)] = value;
    }
    return items;
  }

  /// The cluster of each prompt; empty where the suite has no groups.
  [[nodiscard]] std::vector<std::int64_t> clusters(const std::vector<std::string>& prompts) const {
    return grouped_ ? statistics::number_clusters(prompts, groups_) : std::vector<std::int64_t>();
  }

  /// The cluster of each item: that of its tests.
  [[nodiscard]] std::vector<std::int64_t> item_clusters(const std::vector<std::string>& items) const {
    std::map<std::string, std::string> group_of;
    for (const auto& [test, item] : items_) {
      group_of[item] = groups_.at(test);
    }
    return grouped_ ? statistics::number_clusters(items, group_of) : std::vector<std::int64_t>();
  }

 private:
  const results& run_;
  bool grouped_ = false;
  std::map<std::string, std::string> groups_;
  std::map<std::string, std::string> items_;
};

/// The names that all of the lists have, in alphabetical order.
std::vector<std::string> common_names(const std::vector<prompt_values>& lists) {
  std::vector<std::string> names;
  for (const auto& [name, value] : lists.front()) {
    if (std::all_of(lists.begin(), lists.end(), [&](const prompt_values& each) { return each.contains(name); })) {
      names.push_back(name);
    }
  }
  return names;
}

std::vector<double> values_at(const prompt_values& values, const std::vector<std::string>& names) {
  std::vector<double> list;
  for (const std::string& name : names) {
    list.push_back(values.at(name));
  }
  return list;
}

bool has_condition(const results& run, const std::string& id) { return run.find_condition(id) != nullptr; }

constexpr std::string_view projected = "projected:";

/// The control of that name for a condition: a projection has its own, `projected_zero:FOLDER` for `projected:FOLDER`.
std::string control_of(const std::string& condition, const std::string& name) {
  return condition.starts_with(projected)
             ? fmt::format("projected_{}:{}", name, std::string_view(condition).substr(projected.size()))
             : name;
}

/// The conditions that a questioned one is compared with, those that ran.
std::vector<std::string> controls_of(const results& run, const std::string& condition) {
  std::vector<std::string> controls;
  for (const std::string& id :
       {std::string("text_oracle"), control_of(condition, "other_source"), control_of(condition, "zero"),
        control_of(condition, "noise"), std::string("baseline")}) {
    if (has_condition(run, id)) {
      controls.push_back(id);
    }
  }
  return controls;
}

/// The variants that a table is made for: each by itself where there are two or more, else all tests together.
std::vector<std::string> table_variants(const results& run) {
  std::vector<std::string> variants;
  for (const test_record& test : run.tests) {
    if (std::find(variants.begin(), variants.end(), test.test.variant) == variants.end()) {
      variants.push_back(test.test.variant);
    }
  }
  return variants.size() > 1 ? variants : std::vector<std::string>{""};
}

prompt_rate rate_of(const prompt_values& values) {
  prompt_rate rate;
  std::vector<double> list;
  for (const auto& [prompt, value] : values) {
    list.push_back(value);
  }
  const double sum = std::accumulate(list.begin(), list.end(), 0.0);
  rate.rate = list.empty() ? 0.0 : sum / static_cast<double>(list.size());
  const bool yes_or_no = std::all_of(list.begin(), list.end(), [](double each) { return each == 0.0 || each == 1.0; });
  if (yes_or_no || list.size() < 2) {
    rate.range = statistics::wilson(
        {static_cast<std::int64_t>(std::lround(std::floor(sum))), static_cast<std::int64_t>(list.size())});
    return rate;
  }
  const statistics::interval range = statistics::interval_of(statistics::estimate_mean(list));
  rate.range = {std::max(range.low, 0.0), std::min(range.high, 1.0)};
  return rate;
}

condition_summary summarize_condition(const run_values& values, const std::string& condition,
                                      const std::string& variant) {
  condition_summary row{condition, variant, 0, {}, {}, {}};
  const auto& metrics = trial_metrics();
  const prompt_values success = values.of(condition, variant, metrics[0]);
  row.prompts = static_cast<std::int64_t>(success.size());
  row.success = rate_of(success);
  row.stalled = rate_of(values.of(condition, variant, metrics[1]));
  const prompt_values scored = values.of(condition, variant, metrics[2]);
  if (!scored.empty() && scored.size() == success.size()) {
    double sum = 0.0;
    for (const auto& [prompt, value] : scored) {
      sum += value;
    }
    row.marker_log_prob = sum / static_cast<double>(scored.size());
  }
  return row;
}

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

void compare_conditions(const results& run, const run_values& values, run_summary& summary) {
  for (const trial_metric& metric : trial_metrics()) {
    for (const std::string& variant : table_variants(run)) {
      for (const std::string& a : questioned_conditions(run)) {
        for (const std::string& b : controls_of(run, a)) {
          const auto outcome =
              compared_values(request_for(run, metric, a, b), values.of(a, variant, metric),
                              values.of(b, variant, metric), [&](const auto& names) { return values.clusters(names); });
          if (outcome) {
            summary.comparisons.push_back({variant, *outcome});
          }
        }
      }
    }
    adjust_outcomes(summary.comparisons, metric.name);
  }
}

void compare_variants(const results& run, const run_values& values, run_summary& summary) {
  const std::vector<std::string> variants = table_variants(run);
  if (variants.size() < 2 || std::find(variants.begin(), variants.end(), "") != variants.end()) {
    return;
  }
  for (const trial_metric& metric : trial_metrics()) {
    for (const condition_description& condition : run.conditions) {
      for (std::size_t i = 1; i < variants.size(); ++i) {
        const auto outcome = compared_values(request_for(run, metric, variants[0], variants[i]),
                                             values.by_item(values.of(condition.id, variants[0], metric)),
                                             values.by_item(values.of(condition.id, variants[i], metric)),
                                             [&](const auto& items) { return values.item_clusters(items); });
        if (outcome) {
          summary.variants.push_back({condition.id, *outcome});
        }
      }
    }
    adjust_outcomes(summary.variants, metric.name);
  }
}

/// Whether an estimate can be made of so many prompts of these clusters.
bool estimable(const std::vector<std::string>& names, const std::vector<std::int64_t>& clusters) {
  return names.size() >= 2 && (clusters.empty() || statistics::count_clusters(clusters) >= 2);
}

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

/// The values of some conditions on the prompts that all have.
struct common_values {
  std::vector<std::vector<double>> cells;
  std::vector<std::int64_t> clusters;
};

/// Nothing where they are too few for an estimate.
std::optional<common_values> values_of_all(const run_values& values, const std::vector<std::string>& conditions,
                                           const std::string& variant, const trial_metric& metric) {
  std::vector<prompt_values> lists;
  for (const std::string& condition : conditions) {
    lists.push_back(values.of(condition, variant, metric));
  }
  const std::vector<std::string> names = common_names(lists);
  common_values common{{}, values.clusters(names)};
  if (!estimable(names, common.clusters)) {
    return std::nullopt;
  }
  for (const prompt_values& list : lists) {
    common.cells.push_back(values_at(list, names));
  }
  return common;
}

void recover_content(const results& run, const run_values& values, run_summary& summary) {
  for (const trial_metric& metric : trial_metrics()) {
    for (const std::string& variant : table_variants(run)) {
      for (const std::string& condition : questioned_conditions(run)) {
        const std::vector<std::string> needed{"baseline", control_of(condition, "other_source"), condition,
                                              "text_oracle"};
        if (!std::ranges::all_of(needed, [&](const std::string& id) { return has_condition(run, id); })) {
          continue;
        }
        if (const auto common = values_of_all(values, needed, variant, metric)) {
          const auto& cells = common->cells;
          summary.recoveries.push_back(
              {condition, variant, metric.name,
               statistics::recover({cells[0], cells[1], cells[2], cells[3]}, metric.scale, common->clusters)});
        }
      }
    }
  }
}

void estimate_effects(const results& run, const run_values& values, run_summary& summary) {
  for (const full_crossing& crossing : crossings_of(run)) {
    for (const trial_metric& metric : trial_metrics()) {
      for (const std::string& variant : table_variants(run)) {
        if (const auto common = values_of_all(values, crossing.cells, variant, metric)) {
          summary.factors.push_back(
              {metric.name, variant, crossing.low, crossing.high,
               statistics::factorial_effects(crossing.factors, common->cells, metric.scale, common->clusters)});
        }
      }
    }
  }
}

}  // namespace detail

std::vector<std::string> questioned_conditions(const results& run) {
  std::vector<std::string> whole;
  std::vector<std::string> narrowed;
  for (const condition_description& condition : run.conditions) {
    if (condition.id == "transfer" || condition.id.starts_with("from_files") ||
        condition.id.starts_with(detail::projected)) {
      whole.push_back(condition.id);
    } else if (condition.id.starts_with("transfer+") && condition.factors.empty()) {
      narrowed.push_back(condition.id);
    }
  }
  return whole.empty() ? narrowed : whole;
}

std::vector<std::string> control_conditions(const results& run) {
  std::vector<std::string> controls;
  for (const char* id : {"text_oracle", "other_source", "zero", "noise", "baseline"}) {
    if (detail::has_condition(run, id)) {
      controls.emplace_back(id);
    }
  }
  return controls;
}

run_summary summarize(const results& run) {
  const detail::run_values values(run);
  run_summary summary;
  for (const std::string& variant : detail::table_variants(run)) {
    for (const condition_description& condition : run.conditions) {
      summary.cells.push_back(detail::summarize_condition(values, condition.id, variant));
    }
  }
  detail::compare_conditions(run, values, summary);
  detail::compare_variants(run, values, summary);
  detail::recover_content(run, values, summary);
  detail::estimate_effects(run, values, summary);
  return summary;
}

}  // namespace kvtransfer
