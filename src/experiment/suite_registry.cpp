#include "kvtransfer/experiment/suite_registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/suites.hpp"

namespace kvtransfer {

namespace {

/// What stands behind the last colon: nothing where there is none. Cuts it off.
std::optional<std::string_view> cut_selection(std::string_view& wanted) {
  const std::size_t colon = wanted.rfind(':');
  if (colon == wanted.npos) {
    return std::nullopt;
  }
  const std::string_view selection = wanted.substr(colon + 1);
  wanted = wanted.substr(0, colon);
  return selection;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void keep_first(suite& tests, std::string_view number) {
  std::size_t count = 0;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), count);
  require<value_error>(problem == std::errc{} && count >= 1 && count <= tests.tests.size(), "suite", tests.name,
                       formatted("1 to {} tests", tests.tests.size()), number);
  tests.tests.erase(tests.tests.begin() + static_cast<std::ptrdiff_t>(count), tests.tests.end());
}

void keep_variant(suite& tests, std::string_view variant) {
  const std::vector<std::string> known = variants_of(tests);
  if (std::find(known.begin(), known.end(), variant) == known.end()) {
    fail<value_error>("suite", tests.name,
                      known.empty()
                          ? "a number of tests behind the colon"
                          : fmt::format("a number of tests or a variant ({}) behind the colon", fmt::join(known, ", ")),
                      fmt::format("\"{}\"", variant));
  }
  std::erase_if(tests.tests, [&](const test_case& test) { return test.variant != variant; });
}

/// What a command line gives that is meant as a file, not as a name.
bool looks_like_file(std::string_view wanted) {
  std::error_code ignored;
  return wanted.find('/') != wanted.npos || wanted.ends_with(".json") ||
         std::filesystem::is_regular_file(wanted, ignored);
}

}  // namespace

suite_registry suite_registry::standard() {
  suite_registry known;
  known.add("recall", suites::recall);
  known.add("matched_pairs", suites::matched_pairs);
  known.add("stalling", suites::stalling);
  known.add("modes", suites::modes);
  return known;
}

suite suite_registry::open(std::string_view wanted) const {
  std::error_code ignored;
  std::vector<std::string_view> selections;  // from the right
  while (!suites_.contains(wanted) && !std::filesystem::exists(wanted, ignored)) {
    const auto selection = cut_selection(wanted);
    if (!selection) {
      break;
    }
    selections.push_back(*selection);
  }
  if (!suites_.contains(wanted) && !looks_like_file(wanted)) {
    fail<value_error>("suite", "name", fmt::format("a file, or one of {}", fmt::join(names(), ", ")),
                      fmt::format("\"{}\"", wanted));
  }
  suite tests = suites_.contains(wanted) ? suites_.at(wanted)() : read_suite(wanted);
  for (auto selection = selections.rbegin(); selection != selections.rend(); ++selection) {
    is_number(*selection) ? keep_first(tests, *selection) : keep_variant(tests, *selection);
  }
  return tests;
}

}  // namespace kvtransfer
