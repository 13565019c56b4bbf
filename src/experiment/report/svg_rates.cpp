#include "experiment/report/svg_rates.hpp"

#include <fmt/format.h>

#include "experiment/report/html_escape.hpp"

namespace kvtransfer::detail {

std::string svg_rates(const std::vector<named_proportion>& rows) {
  constexpr double names = 165;
  constexpr double width = 240;
  constexpr double pitch = 19;
  const double bottom = pitch * static_cast<double>(rows.size()) + 6;
  std::string svg =
      fmt::format(R"(<svg viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" role="img" aria-label="Marker rates">)",
                  names + width + 60, bottom + 20);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const double x = names + width * tick;
    svg += fmt::format(R"(<path class="rule" d="M{0:.1f} 2V{1:.1f}"/>)"
                       R"(<text class="soft" x="{0:.1f}" y="{2:.1f}" text-anchor="middle">{3}</text>)",
                       x, bottom, bottom + 14, tick);
  }
  double y = pitch / 2 + 4;
  for (const named_proportion& row : rows) {
    svg += fmt::format(R"(<text x="0" y="{:.1f}">{}</text>)", y + 4, html_escape(row.name));
    if (row.with_interval) {
      const statistics::interval range = statistics::wilson(row.observed);
      svg += fmt::format(R"(<path class="range" d="M{:.1f} {:.1f}H{:.1f}"/>)", names + width * range.low, y,
                         names + width * range.high);
    }
    svg += fmt::format(
        R"(<circle class="rate" cx="{:.1f}" cy="{:.1f}" r="4"/><text class="soft" x="{:.1f}" y="{:.1f}">{}/{}</text>)",
        names + width * row.observed.rate(), y, names + width + 14, y + 4, row.observed.successes, row.observed.trials);
    y += pitch;
  }
  return svg + "</svg>";
}

}  // namespace kvtransfer::detail
