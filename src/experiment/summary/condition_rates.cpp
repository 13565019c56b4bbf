#include "experiment/summary/condition_rates.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::detail {

namespace {

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

}  // namespace

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

}  // namespace kvtransfer::detail
