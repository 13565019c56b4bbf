#include "experiment/report/svg_range.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kvtransfer::detail {

std::string svg_range(ranged_value shown, statistics::interval scale, std::optional<double> margin) {
  constexpr double width = 170;
  const auto x = [&](double value) {
    return 4 + (width - 8) * (std::clamp(value, scale.low, scale.high) - scale.low) / (scale.high - scale.low);
  };
  std::string svg =
      fmt::format(R"(<svg class="range-plot" viewBox="0 0 {0:.0f} 18" width="{0:.0f}" height="18" role="img" )"
                  R"(aria-label="{1:.3f}, from {2:.3f} to {3:.3f}"><path class="rule" d="M4 9H{4:.0f}"/>)",
                  width, shown.value, shown.low, shown.high, width - 4);
  if (margin) {
    svg += fmt::format(R"(<rect class="margin" x="{:.1f}" y="2" width="{:.1f}" height="14"/>)", x(-*margin),
                       x(*margin) - x(-*margin));
  }
  if (scale.low < 0 && scale.high > 0) {
    svg += fmt::format(R"(<path class="rule" d="M{0:.1f} 1V17"/>)", x(0));
  }
  return svg + fmt::format(
                   R"(<path class="range" d="M{:.1f} 9H{:.1f}"/><circle class="rate" cx="{:.1f}" cy="9" r="4"/></svg>)",
                   x(shown.low), x(shown.high), x(shown.value));
}

}  // namespace kvtransfer::detail
