#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "kvtransfer/experiment/run.hpp"

namespace phase2a {

/// One line on stderr that fills up; a terminal redraws it, a file gets a line for every tenth of the run.
class progress_bar {
 public:
  void show(const kvtransfer::run_progress& progress) {
    const double share = static_cast<double>(progress.done) / static_cast<double>(progress.total);
    if (terminal_) {
      fmt::print(stderr, "\r{} {}/{} {:.0f} s  {:<60.60}", bar(share), progress.done, progress.total, seconds(),
                 progress.test + ", " + progress.condition);
      std::fflush(stderr);
      drawn_ = true;
    } else if (static_cast<int>(share * 10) > tenths_) {
      tenths_ = static_cast<int>(share * 10);
      fmt::print(stderr, "{}/{} trials, {:.0f} s\n", progress.done, progress.total, seconds());
    }
  }

  /// Takes the line away, so that what follows starts on a clean one.
  void clear() {
    if (drawn_) {
      fmt::print(stderr, "\r{:110}\r", "");
      std::fflush(stderr);
      drawn_ = false;
    }
  }

 private:
  static std::string bar(double share) {
    constexpr int width = 30;
    const int full = static_cast<int>(share * width);
    std::string text;
    for (int i = 0; i < width; ++i) {
      text += i < full ? "█" : "░";
    }
    return text;
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  int tenths_ = 0;
};

}  // namespace phase2a
