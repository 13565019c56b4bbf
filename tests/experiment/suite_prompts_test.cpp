#include "kvtransfer/experiment/suite_prompts.hpp"

#include <set>

#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Tests with sources of these lengths, all different.
std::vector<prompt_ids> tests_of_lengths(const std::vector<std::int64_t>& lengths) {
  std::vector<prompt_ids> tests;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    tests.push_back(raw_prompts({1}, some_tokens(lengths[i], static_cast<std::int64_t>(i)), {5}));
    tests.back().head.back().token_ids.front() = static_cast<std::int64_t>(i);
  }
  return tests;
}

}  // namespace

TEST_CASE("every test has another one's source, and every source one place", "[experiment][suite_prompts]") {
  for (std::int64_t count = 2; count < 25; ++count) {
    std::vector<std::int64_t> lengths;
    for (std::int64_t i = 0; i < count; ++i) {
      lengths.push_back(2 + (i * i * 7 + count) % 4);
    }
    const auto others = other_sources(tests_of_lengths(lengths));
    std::set<std::size_t> taken;
    for (std::size_t i = 0; i < others.size(); ++i) {
      REQUIRE(others[i].has_value());
      CHECK(*others[i] != i);
      taken.insert(*others[i]);
    }
    CHECK(taken.size() == others.size());
  }
}

TEST_CASE("sources of equal length change places, a length of its own goes to the nearest",
          "[experiment][suite_prompts]") {
  const std::vector<std::int64_t> lengths{9, 4, 4, 9, 4, 9, 12};
  const auto others = other_sources(tests_of_lengths(lengths));
  std::int64_t unequal = 0;
  for (std::size_t i = 0; i < others.size(); ++i) {
    unequal += lengths[i] != lengths[*others[i]] ? 1 : 0;
  }
  CHECK(unequal == 2);
  CHECK(lengths[*others[6]] == 9);
}

TEST_CASE("tests of one source get one other, never the same tokens", "[experiment][suite_prompts]") {
  std::vector<prompt_ids> tests = tests_of_lengths({5, 5, 5, 5});
  tests[1].head = tests[0].head;
  tests[3].head = tests[2].head;
  const auto others = other_sources(tests);
  CHECK(others[0] == others[1]);
  CHECK(others[2] == others[3]);
  CHECK((tests[*others[0]].head == tests[2].head));
  CHECK((tests[*others[2]].head == tests[0].head));
}

TEST_CASE("a suite of a single source has no other", "[experiment][suite_prompts]") {
  std::vector<prompt_ids> tests = tests_of_lengths({5, 5});
  tests[1].head = tests[0].head;
  CHECK(other_sources(tests) == std::vector<std::optional<std::size_t>>(2));
  CHECK(other_sources({}).empty());
}
