#include "experiment/run/applicable_crossings.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

namespace {

using levels_by_name = std::map<std::string, std::set<std::string>>;

/// Nothing where a test of the run can run under the condition.
std::optional<std::string> why_never_applicable(const ready_condition& ready, const results& run) {
  std::optional<std::string> first;
  for (std::size_t t = 0; t < run.tests.size(); ++t) {
    const auto why = why_not_applicable(run.tests[t].test, ready.condition, ready.prompts[t]);
    if (!why) {
      return std::nullopt;
    }
    first = first ? first : why;
  }
  return first;
}

/// Which factors are none of the run for want of the levels that this condition has.
std::string factors_lost_with(const condition_description& condition, const levels_by_name& left) {
  std::string text;
  for (const auto& [factor, level] : condition.factors) {
    const auto levels = left.find(factor);
    if (levels != left.end() && levels->second.size() == 1 && !levels->second.contains(level)) {
      text += fmt::format("; {} is no factor of this run", factor);
    }
  }
  return text;
}

}  // namespace

factorial_conditions applicable_crossings(factorial_conditions all, const std::vector<ready_condition>& ready,
                                          const results& run) {
  factorial_conditions kept{{}, std::move(all.left_out)};
  std::vector<std::pair<condition_description, std::string>> never;
  levels_by_name left;
  for (std::size_t c = 0; c < ready.size(); ++c) {
    condition_description condition = ready[c].condition.describe();
    if (const auto why = why_never_applicable(ready[c], run)) {
      never.emplace_back(std::move(condition), *why);
      continue;
    }
    for (const auto& [factor, level] : condition.factors) {
      left[factor].insert(level);
    }
    kept.conditions.push_back(all.conditions[c]);
  }
  for (const auto& [condition, why] : never) {
    kept.left_out.push_back({crossing_text(condition.factors), why + factors_lost_with(condition, left)});
  }
  return kept;
}

}  // namespace kvtransfer::detail
