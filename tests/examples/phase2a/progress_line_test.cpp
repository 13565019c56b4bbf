#include "progress_line.hpp"

#include <string>

#include "support/test.hpp"

using namespace phase2a;

namespace {

/// Columns of a terminal that a line takes, none of its characters being wide.
std::size_t characters(const std::string& line) {
  std::size_t count = 0;
  for (const char byte : line) {
    count += (byte & 0xC0) != 0x80 ? 1 : 0;
  }
  return count;
}

kvtransfer::run_progress halfway() {
  kvtransfer::run_progress progress{10, 20, "identity_transfer", "as_reported_same_cache", {}};
  progress.cost.trials = 5;  // the others were finished before
  progress.cost.seconds = 12.4;
  progress.cost.tokens = 6200;
  progress.cost.peak_host_bytes = 812'300'000;
  return progress;
}

}  // namespace

TEST_CASE("a progress line has bar, counts, times, rate, peak memory and names where there is room", "[phase2a]") {
  CHECK(progress_line(halfway(), 140) ==
        "██████████░░░░░░░░░░ 10/20 12 s  25 s left  500 tokens/s  peak 812 MB  identity_transfer, "
        "as_reported_same_cache");
}

TEST_CASE("a progress line fits a terminal of any width", "[phase2a]") {
  kvtransfer::run_progress long_one = halfway();
  long_one.cost.seconds = 123456;
  for (std::size_t columns = 0; columns < 150; ++columns) {
    CAPTURE(columns);
    CHECK(characters(progress_line(halfway(), columns)) <= columns);
    CHECK(characters(progress_line(long_one, columns)) <= columns);
  }
  CHECK(progress_line(halfway(), 10) == "10/20 12 s");
  CHECK(progress_line(halfway(), 40) == "██████████░░░░░░░░░░ 10/20 12 s  identit");
  CHECK(progress_line(halfway(), 79) ==
        "██████████░░░░░░░░░░ 10/20 12 s  25 s left  500 tokens/s  peak 812 MB  identity");
}

TEST_CASE("a log has the same in words", "[phase2a]") {
  CHECK(log_line(halfway()) == "10/20 trials, 12 s, 25 s left, 500 tokens/s, peak 812 MB");
  kvtransfer::run_progress gpu = halfway();
  gpu.cost.trials = 0;
  gpu.cost.peak_device_bytes = 1'340'000'000;
  CHECK(log_line(gpu) == "10/20 trials, 12 s, 500 tokens/s, peak 1.3 GB");
}

TEST_CASE("times are as exact as anybody waits", "[phase2a]") {
  CHECK(duration_text(0.4) == "0 s");
  CHECK(duration_text(99) == "99 s");
  CHECK(duration_text(720) == "12 min");
  CHECK(duration_text(12600) == "3.5 h");
}

TEST_CASE("a wide character counts as two columns, and none is cut in half", "[phase2a]") {
  CHECK(cut_to_width("日本語", 6) == "日本語");
  CHECK(cut_to_width("日本語", 5) == "日本");
  CHECK(cut_to_width("日本語", 1).empty());
  CHECK(cut_to_width("né😀x", 4) == "né😀");
}

TEST_CASE("a control character does not reach the terminal", "[phase2a]") {
  CHECK(cut_to_width("a\033[2J\nb", 20) == "a?[2J?b");
}
