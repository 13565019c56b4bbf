#include "progress_bar.hpp"

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

const kvtransfer::run_progress halfway{10, 20, "identity_transfer", "as_reported_same_cache"};

}  // namespace

TEST_CASE("a progress line has bar, counts, time and names where there is room", "[phase2a]") {
  CHECK(progress_line(halfway, 12.4, 120) ==
        "███████████████░░░░░░░░░░░░░░░ 10/20 12 s  identity_transfer, as_reported_same_cache");
}

TEST_CASE("a progress line fits a terminal of any width", "[phase2a]") {
  for (std::size_t columns = 0; columns < 130; ++columns) {
    CAPTURE(columns);
    CHECK(characters(progress_line(halfway, 123456, columns)) <= columns);
  }
  CHECK(progress_line(halfway, 12, 10) == "10/20 12 s");
  CHECK(progress_line(halfway, 12, 79).ends_with("identity_transfer, as_reported_same_"));
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
