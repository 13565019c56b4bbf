#include "experiment/summary/prompt_values.hpp"

#include <algorithm>
#include <cmath>

#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/statistics/by_prompt.hpp"

namespace kvtransfer::detail {

namespace {

/// Whether an estimate can be made of so many prompts of these clusters.
bool estimable(const std::vector<std::string>& names, const std::vector<std::int64_t>& clusters) {
  return names.size() >= 2 && (clusters.empty() || statistics::count_clusters(clusters) >= 2);
}

}  // namespace

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

run_values::run_values(const results& run) : run_(run) {
  for (const test_record& test : run.tests) {
    grouped_ = grouped_ || !test.test.group.empty();
    groups_[test.test.name] = test.test.group.empty() ? "test " + test.test.name : "group " + test.test.group;
    items_[test.test.name] = test.test.item;
  }
}

prompt_values run_values::of(const std::string& condition, const std::string& variant,
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

prompt_values run_values::by_item(const prompt_values& values) const {
  prompt_values items;
  for (const auto& [test, value] : values) {
    items[items_.at(test)] = value;
  }
  return items;
}

std::vector<std::int64_t> run_values::clusters(const std::vector<std::string>& prompts) const {
  return grouped_ ? statistics::number_clusters(prompts, groups_) : std::vector<std::int64_t>();
}

std::vector<std::int64_t> run_values::item_clusters(const std::vector<std::string>& items) const {
  std::map<std::string, std::string> group_of;
  for (const auto& [test, item] : items_) {
    group_of[item] = groups_.at(test);
  }
  return grouped_ ? statistics::number_clusters(items, group_of) : std::vector<std::int64_t>();
}

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

std::vector<std::string> table_variants(const results& run) {
  std::vector<std::string> variants;
  for (const test_record& test : run.tests) {
    if (std::find(variants.begin(), variants.end(), test.test.variant) == variants.end()) {
      variants.push_back(test.test.variant);
    }
  }
  return variants.size() > 1 ? variants : std::vector<std::string>{""};
}

}  // namespace kvtransfer::detail
