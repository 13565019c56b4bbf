#include "experiment/report/svg_agreement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvtransfer/experiment/metrics.hpp"

namespace kvtransfer::detail {

namespace {

double finite_margin(const trial_record& trial, std::size_t step) {
  const double margin = step < trial.top2_margins.size() ? trial.top2_margins[step] : 0.0;
  return std::isfinite(margin) ? margin : 0.0;
}

}  // namespace

std::string svg_agreement(const trial_record& trial, const trial_record& reference, std::size_t steps) {
  constexpr double width = 330;
  constexpr double base = 62;
  constexpr double tallest = 52;
  const auto different = first_divergence(trial.token_ids, reference.token_ids);
  const std::size_t count = std::max(reference.top2_margins.size(), reference.token_ids.size());
  double highest = 1.0;
  for (std::size_t step = 0; step < count; ++step) {
    highest = std::max(highest, finite_margin(reference, step));
  }
  const double pitch = width / static_cast<double>(std::max<std::size_t>(steps, 1));
  std::string svg =
      fmt::format(R"(<svg viewBox="0 0 {0} 82" width="{0}" role="img" aria-label="Agreement, step by step">)", width);
  for (std::size_t step = 0; step < count; ++step) {
    const bool equal = !different || static_cast<std::int64_t>(step) < different->step;
    const double margin = finite_margin(reference, step);
    const double height = std::max(tallest * margin / highest, 2.0);
    svg += fmt::format(R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">)"
                       "<title>step {}: top-2 margin {:.3g}{}</title></rect>",
                       equal ? "equal-bar" : "other-bar", pitch * static_cast<double>(step) + 0.5, base - height,
                       std::max(pitch - 1, 0.8), height, step, margin, equal ? "" : ", after the first difference");
  }
  return svg + fmt::format(R"(<path class="rule" d="M0 {0}.5H{1}"/><text class="soft" x="0" y="78">step 0</text>)"
                           R"(<text class="soft" x="{1}" y="78" text-anchor="end">margin up to {2:.3g}</text></svg>)",
                           base, width, highest);
}

}  // namespace kvtransfer::detail
