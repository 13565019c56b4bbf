#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

namespace {

/// A hundredfold to one decimal, signed unless it is zero.
std::string tenths(double value) {
  const double rounded = std::round(1000 * value) / 10;
  return rounded == 0 ? "0.0" : fmt::format("{:+.1f}", rounded);
}

/// A name with its argument cut off: `projected:FOLDER` is `FOLDER` where the name is `projected`.
std::optional<std::string_view> argument_of(std::string_view condition, std::string_view name) {
  return condition.starts_with(name) && condition.substr(name.size()).starts_with(':')
             ? std::optional(condition.substr(name.size() + 1))
             : std::nullopt;
}

/// A condition without words behind it; nothing for one that has no words of its own.
std::optional<std::string> plain_words(std::string_view condition) {
  static const std::map<std::string, std::string, std::less<>> known = {
      {"transfer", "the source's cache"},         {"text_oracle", "the source's text itself"},
      {"other_source", "another source's cache"}, {"zero", "a cache of zeros"},
      {"noise", "a cache of random noise"},       {"baseline", "no cache at all"}};
  static const std::vector<std::pair<std::string, std::string>> of_argument = {
      {"projected", "the source's cache projected by {}"},
      {"projected_other_source", "another source's cache projected by {}"},
      {"projected_zero", "zeros in the place of what {} projects"},
      {"projected_noise", "random noise in the place of what {} projects"},
      {"from_files", "the caches of {}"}};
  if (const auto found = known.find(condition); found != known.end()) {
    return found->second;
  }
  for (const auto& [name, words] : of_argument) {
    if (const auto argument = argument_of(condition, name)) {
      return fmt::format(fmt::runtime(words), *argument);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string in_words(const std::string& condition) {
  const std::size_t plus = condition.find('+');
  const auto words = plain_words(std::string_view(condition).substr(0, plus));
  if (!words || plus == condition.npos) {
    return words.value_or(condition);
  }
  return fmt::format("{} ({})", *words, condition.substr(plus + 1));
}

std::string metric_title(const std::string& metric) {
  return metric == "success"   ? "Answers that passed"
         : metric == "stalled" ? "Answers that ended at once"
                               : "Log-probability of the markers";
}

std::string points(double difference) { return fmt::format("{} points", tenths(difference)); }

std::string points(double low, double high) { return fmt::format("{} to {} points", tenths(low), tenths(high)); }

std::string rate_text(double rate, std::int64_t prompts) {
  const double count = rate * static_cast<double>(prompts);
  const char* unit = prompts == 1 ? "prompt" : "prompts";
  return std::abs(count - std::round(count)) < 1e-6 ? fmt::format("{:.0f} of {} {}", count, prompts, unit)
                                                    : fmt::format("{:.1f} % of {} {}", 100 * rate, prompts, unit);
}

std::string p_text(double p) { return p < 0.001 ? "p < 0.001" : fmt::format("p = {:.3f}", p); }

std::string verdict_sentence(const statistics::paired_comparison& outcome, std::size_t family) {
  if (!is_enough(outcome)) {
    return outcome.n < statistics::minimum_prompts
               ? fmt::format("{} prompts are too few to call that a result.", outcome.n)
               : fmt::format("{} templates are too few to call that a result.", outcome.clusters);
  }
  const std::string adjusted = family > 1 ? fmt::format(", adjusted for {} comparisons", family) : "";
  if (outcome.verdict == statistics::verdict::different) {
    return fmt::format("Different ({}{}).", p_text(outcome.p_holm), adjusted);
  }
  if (outcome.verdict == statistics::verdict::equivalent) {
    return fmt::format("Equivalent: closer than {:.1f} points, the margin fixed before the run ({}{}).",
                       100 * *outcome.margin, p_text(outcome.p_equivalence_holm.value_or(1.0)), adjusted);
  }
  return outcome.smallest_effect
             ? fmt::format("Undecided: four such runs in five would find a true difference of {:.1f} points.",
                           100 * *outcome.smallest_effect)
             : std::string("Undecided: even the largest difference might be missed by so few prompts.");
}

bool is_enough(const statistics::paired_comparison& outcome) {
  return outcome.n >= statistics::minimum_prompts &&
         (outcome.clusters == 0 || outcome.clusters >= statistics::minimum_clusters);
}

}  // namespace kvtransfer::detail
