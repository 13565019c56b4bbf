#include "experiment/summary/recoveries.hpp"

#include <algorithm>
#include <string>

#include "experiment/summary/control_of.hpp"
#include "kvtransfer/experiment/statistics/recovery.hpp"

namespace kvtransfer::detail {

std::vector<content_recovery> content_recoveries(const results& run, const run_values& values) {
  std::vector<content_recovery> recoveries;
  for (const trial_metric& metric : trial_metrics()) {
    for (const std::string& variant : table_variants(run)) {
      for (const std::string& condition : questioned_conditions(run)) {
        const std::vector<std::string> needed{"baseline", control_of(run, condition, "other_source"), condition,
                                              "text_oracle"};
        if (!std::ranges::all_of(needed, [&](const std::string& id) { return run.find_condition(id) != nullptr; })) {
          continue;
        }
        if (const auto common = values_of_all(values, needed, variant, metric)) {
          const auto& cells = common->cells;
          recoveries.push_back(
              {condition, variant, metric.name,
               statistics::recover({cells[0], cells[1], cells[2], cells[3]}, metric.scale, common->clusters)});
        }
      }
    }
  }
  return recoveries;
}

}  // namespace kvtransfer::detail
