#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/statistics/paired_comparison.hpp"

namespace kvtransfer::detail {

/// A number that each trial has, and what it can be.
struct trial_metric {
  std::string name;
  statistics::metric_scale scale;
  std::optional<double> (*of)(const test_case&, const trial_record&);
};

/// Whether the answer passed, whether it ended at once, and how probable its markers were.
[[nodiscard]] const std::vector<trial_metric>& trial_metrics();

/// A metric of each prompt, the mean of its trials; a prompt whose trials lack it is left out.
using prompt_values = std::map<std::string, double>;

/// Looks values up in a run's records, which outlive it.
class run_values {
 public:
  explicit run_values(const results& run);

  /// @param variant empty: of all tests
  [[nodiscard]] prompt_values of(const std::string& condition, const std::string& variant,
                                 const trial_metric& metric) const;

  /// By the item that each test is a variant of.
  [[nodiscard]] prompt_values by_item(const prompt_values& values) const;

  /// The cluster of each prompt; empty where the suite has no groups.
  [[nodiscard]] std::vector<std::int64_t> clusters(const std::vector<std::string>& prompts) const;

  /// The cluster of each item: that of its tests.
  [[nodiscard]] std::vector<std::int64_t> item_clusters(const std::vector<std::string>& items) const;

 private:
  const results& run_;
  bool grouped_ = false;
  std::map<std::string, std::string> groups_;
  std::map<std::string, std::string> items_;
};

/// The names that all of the lists have, in alphabetical order.
[[nodiscard]] std::vector<std::string> common_names(const std::vector<prompt_values>& lists);

/// The values of these names, in their order.
[[nodiscard]] std::vector<double> values_at(const prompt_values& values, const std::vector<std::string>& names);

/// The values of some conditions on the prompts that all have.
struct common_values {
  std::vector<std::vector<double>> cells;  // by condition
  std::vector<std::int64_t> clusters;      // of the prompts
};

/// Nothing where they are too few for an estimate.
[[nodiscard]] std::optional<common_values> values_of_all(const run_values& values,
                                                         const std::vector<std::string>& conditions,
                                                         const std::string& variant, const trial_metric& metric);

/// The variants that a table is made for: each by itself where there are two or more, else all tests together.
[[nodiscard]] std::vector<std::string> table_variants(const results& run);

}  // namespace kvtransfer::detail
