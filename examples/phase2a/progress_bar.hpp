#pragma once

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "kvtransfer/experiment/run.hpp"

namespace phase2a {

/// `text` cut to so many columns of a terminal, without control characters. A character from U+1100 on may take two
/// columns (East Asian letters, emoji), so it counts as two.
/// @param text UTF-8
inline std::string cut_to_width(std::string_view text, std::size_t columns) {
  std::string cut;
  std::size_t used = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && (text[end] & 0xC0) == 0x80) {
      ++end;
    }
    const auto lead = static_cast<unsigned char>(text[begin]);
    const bool wide = lead > 0xE1 || (lead == 0xE1 && end - begin > 1 && (text[begin + 1] & 0xFF) >= 0x84);
    used += wide ? 2 : 1;
    if (used > columns) {
      break;
    }
    cut += lead < 0x20 || lead == 0x7F ? std::string{'?'} : std::string(text.substr(begin, end - begin));
    begin = end;
  }
  return cut;
}

/// A bar that fills up, counts, seconds and names, as much of them as fits into `columns`.
inline std::string progress_line(const kvtransfer::run_progress& progress, double seconds, std::size_t columns) {
  constexpr std::size_t longest_bar = 30;
  const double share = static_cast<double>(progress.done) / static_cast<double>(progress.total);
  const std::string counts = fmt::format("{}/{} {:.0f} s", progress.done, progress.total, seconds);
  std::string line;
  std::size_t left = columns;
  if (columns >= counts.size() + 11) {
    const std::size_t width = std::min(longest_bar, columns - counts.size() - 1);
    const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
    for (std::size_t i = 0; i < width; ++i) {
      line += i < full ? "█" : "░";
    }
    line += " ";
    left -= width + 1;
  }
  line += cut_to_width(counts, left);
  left -= std::min(left, counts.size());
  return left > 2 ? line + "  " + cut_to_width(progress.test + ", " + progress.condition, left - 2) : line;
}

/// One line on stderr; a terminal redraws it, a file gets a line for every tenth of the run.
class progress_bar {
 public:
  void show(const kvtransfer::run_progress& progress) {
    const auto tenths = static_cast<int>(10 * progress.done / progress.total);
    if (terminal_) {
      fmt::print(stderr, "\r{}{}", progress_line(progress, seconds(), columns()), clear_to_end);
      std::fflush(stderr);
      drawn_ = true;
    } else if (tenths > tenths_) {
      tenths_ = tenths;
      fmt::print(stderr, "{}/{} trials, {:.0f} s\n", progress.done, progress.total, seconds());
    }
  }

  /// Takes the line away, so that what follows starts on a clean one.
  void clear() {
    if (drawn_) {
      fmt::print(stderr, "\r{}", clear_to_end);
      std::fflush(stderr);
      drawn_ = false;
    }
  }

 private:
  static constexpr const char* clear_to_end = "\033[K";

  /// What a line may take: one less than there is, since a terminal that wraps in its last column would begin another.
  static std::size_t columns() {
    ::winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col - 1U : 79;
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  int tenths_ = 0;
};

}  // namespace phase2a
