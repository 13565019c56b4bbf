#include "kvtransfer/experiment/suite_prompts.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace kvtransfer {

namespace {

/// The first test of every distinct source, shortest source first, in the suite's order among equals.
std::vector<std::size_t> distinct_sources(const std::vector<std::vector<std::int64_t>>& heads) {
  std::map<std::vector<std::int64_t>, std::size_t> first;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    first.emplace(heads[i], i);
  }
  std::vector<std::size_t> tests;
  for (const auto& [ids, test] : first) {
    tests.push_back(test);
  }
  std::ranges::sort(tests, {}, [&](std::size_t i) { return std::pair(heads[i].size(), i); });
  return tests;
}

/// `sorted` cut into cycles of two or more: one for every length, which takes in the lengths with a single source that
/// come before it; those at the end join the last cycle.
std::vector<std::vector<std::size_t>> cycles_of(const std::vector<std::size_t>& sorted,
                                                const std::vector<std::vector<std::int64_t>>& heads) {
  std::vector<std::vector<std::size_t>> cycles;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const bool same_length = !cycles.empty() && heads[cycles.back().back()].size() == heads[sorted[i]].size();
    if (same_length || (!cycles.empty() && cycles.back().size() == 1)) {
      cycles.back().push_back(sorted[i]);
    } else {
      cycles.push_back({sorted[i]});
    }
  }
  if (cycles.size() > 1 && cycles.back().size() == 1) {
    const std::size_t last = cycles.back().front();
    cycles.pop_back();
    cycles.back().push_back(last);
  }
  return cycles;
}

}  // namespace

std::vector<std::optional<std::size_t>> other_sources(const std::vector<prompt_ids>& tests) {
  std::vector<std::vector<std::int64_t>> heads;
  for (const prompt_ids& test : tests) {
    heads.push_back(ids_of(test.head));
  }
  std::map<std::vector<std::int64_t>, std::size_t> other;
  for (const std::vector<std::size_t>& cycle : cycles_of(distinct_sources(heads), heads)) {
    for (std::size_t i = 0; i < cycle.size() && cycle.size() > 1; ++i) {
      other.emplace(heads[cycle[i]], cycle[(i + 1) % cycle.size()]);
    }
  }
  std::vector<std::optional<std::size_t>> chosen;
  for (const std::vector<std::int64_t>& head : heads) {
    const auto found = other.find(head);
    chosen.push_back(found == other.end() ? std::nullopt : std::optional(found->second));
  }
  return chosen;
}

}  // namespace kvtransfer
