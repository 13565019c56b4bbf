#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/run.hpp"
#include "kvtransfer/experiment/run_cost.hpp"

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

/// "47 s", "12 min", "3.5 h": as exact as anybody waits.
inline std::string duration_text(double seconds) {
  return seconds < 100    ? fmt::format("{:.0f} s", seconds)
         : seconds < 6000 ? fmt::format("{:.0f} min", seconds / 60)
                          : fmt::format("{:.1f} h", seconds / 3600);
}

/// "812 MB", "13.4 GB".
inline std::string size_text(std::int64_t bytes) {
  const double megabytes = static_cast<double>(bytes) / 1e6;
  return megabytes < 1000 ? fmt::format("{:.0f} MB", megabytes) : fmt::format("{:.1f} GB", megabytes / 1000);
}

/// The most memory taken: of a GPU what torch has allocated there, else of the process.
inline std::string peak_text(const kvtransfer::run_cost& cost) {
  return size_text(cost.peak_device_bytes.value_or(cost.peak_host_bytes));
}

/// What can be said of a run's speed, the most telling first: how long it takes, how fast it is, what it needs.
inline std::vector<std::string> speed_texts(const kvtransfer::run_progress& progress) {
  std::vector<std::string> texts;
  if (const auto left = kvtransfer::seconds_left(progress)) {
    texts.push_back(duration_text(*left) + " left");
  }
  texts.push_back(fmt::format("{:.0f} tokens/s", kvtransfer::tokens_per_second(progress.cost)));
  texts.push_back("peak " + peak_text(progress.cost));
  return texts;
}

/// A bar that fills up and has `columns` columns.
inline std::string bar(double share, std::size_t columns) {
  const auto full = static_cast<std::size_t>(share * static_cast<double>(columns));
  std::string text;
  for (std::size_t i = 0; i < columns; ++i) {
    text += i < full ? "█" : "░";
  }
  return text;
}

/// A bar, how many trials are done in what time, how the run goes, and names: as much of it as fits into `columns`,
/// what tells least left out first.
inline std::string progress_line(const kvtransfer::run_progress& progress, std::size_t columns) {
  constexpr std::size_t longest_bar = 20;
  constexpr std::size_t shortest_bar = 10;
  std::string line = fmt::format("{}/{} {}", progress.done, progress.total, duration_text(progress.cost.seconds));
  std::size_t used = line.size();
  std::string in_front;
  if (columns >= used + shortest_bar + 1) {
    const std::size_t width = std::min(longest_bar, columns - used - 1);
    in_front = bar(static_cast<double>(progress.done) / static_cast<double>(progress.total), width) + " ";
    used += width + 1;
  }
  for (const std::string& text : speed_texts(progress)) {
    if (used + 2 + text.size() <= columns) {
      line += "  " + text;
      used += 2 + text.size();
    }
  }
  if (!progress.test.empty() && used + 2 < columns) {
    line += "  " + cut_to_width(progress.test + ", " + progress.condition, columns - used - 2);
  }
  return in_front + cut_to_width(line, columns);
}

/// The same for a file that nobody watches.
inline std::string log_line(const kvtransfer::run_progress& progress) {
  return fmt::format("{}/{} trials, {}, {}", progress.done, progress.total, duration_text(progress.cost.seconds),
                     fmt::join(speed_texts(progress), ", "));
}

/// One line on stderr; a terminal redraws it, a file gets a line for every tenth of the run.
class progress_display {
 public:
  progress_display() = default;
  progress_display(const progress_display&) = delete;
  progress_display& operator=(const progress_display&) = delete;
  ~progress_display() { clear(); }

  void show(const kvtransfer::run_progress& progress) {
    const auto tenths = static_cast<int>(10 * progress.done / progress.total);
    if (terminal_) {
      draw(progress);
    } else if (tenths > tenths_) {
      tenths_ = tenths;
      fmt::print(stderr, "{}\n", log_line(progress));
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
  using clock = std::chrono::steady_clock;

  static constexpr const char* clear_to_end = "\033[K";
  static constexpr std::chrono::milliseconds between_draws{100};  // steps may be faster than terminals

  void draw(const kvtransfer::run_progress& progress) {
    const bool last = progress.done == progress.total;
    if (drawn_ && !last && clock::now() - drawn_at_ < between_draws) {
      return;
    }
    fmt::print(stderr, "\r{}{}", progress_line(progress, columns()), clear_to_end);
    std::fflush(stderr);
    drawn_ = true;
    drawn_at_ = clock::now();
  }

  /// What a line may take: one less than there is, since a terminal that wraps in its last column would begin another.
  static std::size_t columns() {
    ::winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col - 1U : 79;
  }

  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  clock::time_point drawn_at_;
  int tenths_ = 0;
};

}  // namespace phase2a
