#include "kvtransfer/experiment/summary.hpp"

#include "experiment/summary/comparisons.hpp"
#include "experiment/summary/condition_rates.hpp"
#include "experiment/summary/crossings.hpp"
#include "experiment/summary/prompt_values.hpp"
#include "experiment/summary/recoveries.hpp"

namespace kvtransfer {

run_summary summarize(const results& run) {
  const detail::run_values values(run);
  run_summary summary;
  for (const std::string& variant : detail::table_variants(run)) {
    for (const condition_description& condition : run.conditions) {
      summary.cells.push_back(detail::summarize_condition(values, condition.id, variant));
    }
  }
  summary.comparisons = detail::compared_conditions(run, values);
  summary.variants = detail::compared_variants(run, values);
  summary.recoveries = detail::content_recoveries(run, values);
  summary.factors = detail::factor_effects(run, values);
  return summary;
}

}  // namespace kvtransfer
