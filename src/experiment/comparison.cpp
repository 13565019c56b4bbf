#include "kvtransfer/experiment/comparison.hpp"

#include <algorithm>
#include <cmath>

namespace kvtransfer {

namespace {

std::optional<divergence> difference_between(const trial_record& trial, const trial_record& reference) {
  const std::optional<divergence> tokens = first_divergence(trial.token_ids, reference.token_ids);
  if (tokens || trial.stop == reference.stop) {
    return tokens;
  }
  return divergence{static_cast<std::int64_t>(trial.token_ids.size()), std::nullopt, std::nullopt};
}

std::optional<double> margin_at(const trial_record& trial, std::int64_t step) {
  const auto index = static_cast<std::size_t>(step);
  const bool known = index < trial.top2_margins.size() && std::isfinite(trial.top2_margins[index]);
  return known ? std::optional(trial.top2_margins[index]) : std::nullopt;
}

}  // namespace

std::optional<first_difference> difference_from(const trial_record& made, const trial_record& reference,
                                                std::int64_t trial) {
  const std::optional<divergence> at = difference_between(made, reference);
  return at ? std::optional(first_difference{trial, *at, margin_at(reference, at->step)}) : std::nullopt;
}

std::optional<comparison> compare_with_reference(const test_record& test, const condition_description& condition) {
  const condition_record* here = test.find(condition.id);
  const condition_record* there = condition.reference ? test.find(*condition.reference) : nullptr;
  if (here == nullptr || there == nullptr || here->trials.empty() || there->trials.empty()) {
    return std::nullopt;
  }
  comparison compared{*condition.reference, 0, 0, std::nullopt};
  for (std::size_t i = 0; i < std::min(here->trials.size(), there->trials.size()); ++i) {
    ++compared.trials;
    const auto difference = difference_from(here->trials[i], there->trials[i], static_cast<std::int64_t>(i));
    compared.equal += difference ? 0 : 1;
    if (difference && !compared.first) {
      compared.first = difference;
    }
  }
  return compared;
}

bool succeeded(const test_case& test, const trial_record& trial) {
  return trial.markers_found.size() == test.markers.size() && trial.forbidden_found.empty();
}

statistics::proportion marker_proportion(const condition_record& condition, const std::string& marker) {
  statistics::proportion found{0, static_cast<std::int64_t>(condition.trials.size())};
  for (const trial_record& trial : condition.trials) {
    found.successes += std::count(trial.markers_found.begin(), trial.markers_found.end(), marker) > 0 ? 1 : 0;
  }
  return found;
}

statistics::proportion stalled_proportion(const condition_record& condition) {
  const auto stalled =
      std::count_if(condition.trials.begin(), condition.trials.end(), [](const auto& t) { return t.stalled; });
  return {stalled, static_cast<std::int64_t>(condition.trials.size())};
}

std::vector<std::string> usual_markers(const test_case& test, const condition_record& condition) {
  std::vector<std::string> usual;
  std::copy_if(test.markers.begin(), test.markers.end(), std::back_inserter(usual), [&](const std::string& marker) {
    const statistics::proportion found = marker_proportion(condition, marker);
    return found.trials > 0 && 2 * found.successes >= found.trials;
  });
  return usual;
}

bool trials_are_draws(const run_settings& settings, const condition_description& condition) {
  return settings.temperature > 0.0 || condition.random;
}

}  // namespace kvtransfer
