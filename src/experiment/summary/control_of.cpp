#include "experiment/summary/control_of.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "experiment/text_lists.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer {

namespace {

constexpr std::string_view projected = "projected:";

/// The words behind a condition's name say that something stands in for its cache.
bool is_control(std::string_view id) { return id.find("+control:") != id.npos; }

/// The id of the same condition under a control, as `text_of` spells it.
std::string under_control(std::string_view condition, std::string_view name) {
  std::vector<std::string_view> words = detail::split(condition, '+');
  const auto place = std::find_if(words.begin() + 1, words.end(), [](std::string_view word) {
    return !word.starts_with("prompt:") && !word.starts_with("cache:");
  });
  const std::string word = fmt::format("control:{}", name);
  words.insert(place, word);
  return fmt::format("{}", fmt::join(words, "+"));
}

}  // namespace

namespace detail {

std::string control_of(const results& run, std::string_view condition, std::string_view name) {
  if (condition.starts_with(projected)) {
    return fmt::format("projected_{}:{}", name, condition.substr(projected.size()));
  }
  std::string own = under_control(condition, name);
  return run.find_condition(own) != nullptr ? own : std::string(name);
}

}  // namespace detail

std::vector<std::string> questioned_conditions(const results& run) {
  std::vector<std::string> whole;
  std::vector<std::string> narrowed;
  for (const condition_description& condition : run.conditions) {
    const std::string& id = condition.id;
    if (is_control(id)) {
      continue;
    }
    if (id == "transfer" || id.starts_with("from_files:") || id.starts_with(projected)) {
      whole.push_back(id);
    } else if (id.starts_with("transfer+") && condition.factors.empty()) {
      narrowed.push_back(id);
    }
  }
  return whole.empty() ? narrowed : whole;
}

std::vector<std::string> control_conditions(const results& run, std::string_view condition) {
  std::vector<std::string> controls;
  for (const std::string& id : {std::string("text_oracle"), detail::control_of(run, condition, "other_source"),
                                detail::control_of(run, condition, "zero"), detail::control_of(run, condition, "noise"),
                                std::string("baseline")}) {
    if (run.find_condition(id) != nullptr) {
      controls.push_back(id);
    }
  }
  return controls;
}

}  // namespace kvtransfer
