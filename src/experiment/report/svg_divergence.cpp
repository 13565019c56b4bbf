#include "experiment/report/svg_divergence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "kvtransfer/experiment/comparison.hpp"

namespace kvtransfer::detail {

std::vector<divergence_curve> divergence_curves(const results& run) {
  std::vector<divergence_curve> curves;
  for (const condition_description& condition : run.conditions) {
    std::vector<std::int64_t> first_steps;  // of the trials that differ
    std::size_t trials = 0;
    for (const test_record& test : run.tests) {
      const condition_record* here = test.find(condition.id);
      const condition_record* there = condition.reference ? test.find(*condition.reference) : nullptr;
      for (std::size_t i = 0;
           here != nullptr && there != nullptr && i < std::min(here->trials.size(), there->trials.size()); ++i) {
        ++trials;
        if (const auto difference = difference_from(here->trials[i], there->trials[i], static_cast<std::int64_t>(i))) {
          first_steps.push_back(difference->at.step);
        }
      }
    }
    if (trials == 0) {
      continue;
    }
    divergence_curve curve{condition.id, *condition.reference, trials, {}};
    for (std::int64_t step = 0; step <= run.settings.max_new_tokens; ++step) {
      const auto before =
          std::count_if(first_steps.begin(), first_steps.end(), [&](std::int64_t at) { return at < step; });
      curve.agreeing.push_back(1.0 - static_cast<double>(before) / static_cast<double>(trials));
    }
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::string svg_divergence(const divergence_curve& curve) {
  constexpr double width = 340;
  constexpr double height = 44;
  const double step = width / static_cast<double>(std::max<std::size_t>(curve.agreeing.size() - 1, 1));
  std::string line = "M0 0";
  for (std::size_t at = 0; at < curve.agreeing.size(); ++at) {
    line += fmt::format("L{:.1f} {:.1f}", step * static_cast<double>(at), height * (1 - curve.agreeing[at]));
  }
  return fmt::format(
      R"(<svg viewBox="0 0 {0:.0f} {1:.0f}" width="100%" height="{1:.0f}" preserveAspectRatio="none" role="img" )"
      R"(aria-label="Agreement by step"><path class="agreement" d="{2}L{0:.0f} {3:.0f}L0 {3:.0f}Z"/>)"
      R"(<path class="rule" d="M0 {3:.0f}H{0:.0f}"/></svg>)",
      width, height + 1, line, height);
}

}  // namespace kvtransfer::detail
