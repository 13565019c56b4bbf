#include "experiment/report/svg_sequence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "experiment/report/html_escape.hpp"

namespace kvtransfer::detail {

namespace {

/// CSS class of a role; `generated` is taken by text.
std::string css_class(token_role role) {
  return role == token_role::generated ? "generated-part" : std::string(name_of(role));
}

/// Dark parts have white labels, light ones dark labels, in either colour scheme.
const char* label_style(const sequence_part& part) {
  const bool light =
      part.role == token_role::target || part.role == token_role::generated || part.role == token_role::format;
  return !part.injected ? "" : light ? R"( style="fill:#1c2430")" : R"( style="fill:#fff")";
}

std::string part_label(const sequence_part& part, double width) {
  const std::string full = fmt::format("{} {}", name_of(part.role), part.tokens);
  constexpr double letter = 6.6;
  return letter * static_cast<double>(full.size()) < width ? full : "";
}

std::string svg_part(const sequence_part& part, double x, double y, double width) {
  constexpr int height = 20;
  const std::string title = fmt::format("{} {}: {} token{}", part.injected ? "cached" : "fed", name_of(part.role),
                                        part.tokens, part.tokens == 1 ? "" : "s");
  std::string text = fmt::format(
      R"(<rect class="{}{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="2"><title>{}</title></rect>)",
      css_class(part.role), part.injected ? "" : " fed", x + 0.8, y, std::max(width - 1.6, 1.0), height, title);
  const std::string label = part_label(part, width);
  if (!label.empty()) {
    text += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle"{}>{}</text>)", x + width / 2, y + 14.5,
                        label_style(part), label);
  }
  return text;
}

}  // namespace

std::string svg_sequences(const std::vector<named_sequence>& strips) {
  constexpr double letter = 7.2;
  constexpr double pitch = 30;
  double names = 190;
  std::int64_t longest = 1;
  for (const named_sequence& strip : strips) {
    names = std::max(names, letter * static_cast<double>(strip.name.size()) + 12);
    longest = std::max(longest, length_of(strip.parts));
  }
  const double strip_width = std::max(970 - names, 500.0);
  const double token = std::min(strip_width / static_cast<double>(longest), 24.0);
  const double height = pitch * static_cast<double>(strips.size()) + 22;
  std::string svg = fmt::format(
      R"(<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" role="img" aria-label="What each condition reads">)",
      names + strip_width + 50, height, names + strip_width + 50);
  double y = 4;
  for (const named_sequence& strip : strips) {
    svg += fmt::format(R"(<text x="0" y="{:.1f}">{}</text>)", y + 14.5, html_escape(strip.name));
    double x = names;
    for (const sequence_part& part : strip.parts) {
      const double width = token * static_cast<double>(part.tokens);
      svg += svg_part(part, x, y, width);
      x += width;
    }
    svg +=
        fmt::format(R"(<text class="soft" x="{:.1f}" y="{:.1f}">{}</text>)", x + 6, y + 14.5, length_of(strip.parts));
    y += pitch;
  }
  return svg +
         fmt::format(R"(<text class="soft" x="{:.0f}" y="{:.1f}">position 0 → (tokens); then generation</text></svg>)",
                     names, y + 10);
}

std::string svg_sequence_legend() {
  std::string svg = R"(<svg viewBox="0 0 960 24" width="960" role="img" aria-label="Legend">)";
  double x = 0;
  for (const token_role role : {token_role::format, token_role::bos, token_role::source, token_role::target,
                                token_role::generated, token_role::eos, token_role::noise}) {
    svg +=
        fmt::format(R"(<rect class="{}" x="{}" y="5" width="14" height="14" rx="2"/><text x="{}" y="16.5">{}</text>)",
                    css_class(role), x, x + 19, name_of(role));
    x += 95;
  }
  return svg +
         fmt::format(R"(<rect class="noise fed" x="{}" y="5" width="14" height="14" rx="2"/><text x="{}" y="16.5">)"
                     "pale: fed as tokens; full: from the cache</text></svg>",
                     x - 5, x + 14);
}

}  // namespace kvtransfer::detail
