#include "experiment/report/findings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "experiment/report/wording.hpp"
#include "experiment/summary/control_of.hpp"

namespace kvtransfer::detail {

namespace {

using statistics::verdict;

/// Questioned conditions that the finding is about; tables have them all.
constexpr std::size_t most_subjects = 3;

/// The comparisons of a summary that one sentence after another asks for.
class lookup {
 public:
  lookup(const run_summary& summary, std::string metric) : summary_(summary), metric_(std::move(metric)) {}

  [[nodiscard]] const statistics::paired_comparison* comparison(const std::string& a, const std::string& b,
                                                                const std::string& variant) const {
    for (const condition_comparison& each : summary_.comparisons) {
      if (each.outcome.metric == metric_ && each.outcome.a == a && each.outcome.b == b && each.variant == variant) {
        return &each.outcome;
      }
    }
    return nullptr;
  }

  [[nodiscard]] const condition_summary* cell(const std::string& condition, const std::string& variant) const {
    for (const condition_summary& each : summary_.cells) {
      if (each.condition == condition && each.variant == variant) {
        return &each;
      }
    }
    return nullptr;
  }

  [[nodiscard]] double rate(const condition_summary& cell) const {
    return metric_ == "stalled" ? cell.stalled.rate : cell.success.rate;
  }

  [[nodiscard]] const content_recovery* recovery(const std::string& condition, const std::string& variant) const {
    for (const content_recovery& each : summary_.recoveries) {
      if (each.metric == metric_ && each.condition == condition && each.variant == variant) {
        return &each;
      }
    }
    return nullptr;
  }

  /// Comparisons that were adjusted to one another.
  [[nodiscard]] std::size_t family() const {
    return static_cast<std::size_t>(std::count_if(summary_.comparisons.begin(), summary_.comparisons.end(),
                                                  [&](const auto& each) { return each.outcome.metric == metric_; }));
  }

  [[nodiscard]] const std::string& metric() const { return metric_; }

 private:
  const run_summary& summary_;
  std::string metric_;
};

/// What happened, of which a rate tells how often.
std::string event_words(const std::string& metric) {
  return metric == "stalled" ? "The model ended at once" : "The answer passed (its markers found)";
}

std::string of_variant(const std::string& variant) { return variant.empty() ? "" : fmt::format("{}: ", variant); }

std::string interval_text(const statistics::paired_comparison& outcome) {
  return outcome.low && outcome.high
             ? fmt::format("{} (95 % interval {})", points(outcome.difference), points(*outcome.low, *outcome.high))
             : points(outcome.difference);
}

/// How often it happened on one side of a comparison: on the prompts that both sides have, where that is known.
std::string side_text(const lookup& in, const statistics::paired_comparison& outcome, const std::string& side,
                      const std::string& variant) {
  const condition_summary* cell = in.cell(side, variant);
  if (outcome.both && outcome.n > 0) {
    const std::int64_t alone = side == outcome.a ? *outcome.only_a : *outcome.only_b;
    return rate_text(static_cast<double>(*outcome.both + alone) / static_cast<double>(outcome.n), outcome.n);
  }
  return rate_text(in.rate(*cell), cell->prompts);
}

/// Rates of two conditions on the prompts that both have, and their difference.
std::string rates_sentence(const lookup& in, const statistics::paired_comparison& outcome, const std::string& variant) {
  return fmt::format("{}{} in {} with {}, and in {} with {}: a difference of {}.", of_variant(variant),
                     event_words(in.metric()), side_text(in, outcome, outcome.a, variant), in_words(outcome.a),
                     side_text(in, outcome, outcome.b, variant), in_words(outcome.b), interval_text(outcome));
}

std::string counts_sentence(const lookup& in, const std::string& condition, const std::string& variant) {
  const condition_summary* cell = in.cell(condition, variant);
  return fmt::format("{}{} in {} with {}.", of_variant(variant), event_words(in.metric()),
                     rate_text(in.rate(*cell), cell->prompts), in_words(condition));
}

/// The control that says most about content: another source's cache, else what destroys more.
const statistics::paired_comparison* decisive(const results& run, const lookup& in, const std::string& subject,
                                              const std::string& variant) {
  std::vector<std::string> order;
  for (const char* name : {"other_source", "zero", "noise"}) {
    order.push_back(control_of(run, subject, name));
  }
  order.insert(in.metric() == "stalled" ? order.begin() : order.end(), "baseline");
  for (const std::string& control : order) {
    if (const auto* outcome = in.comparison(subject, control, variant)) {
      return outcome;
    }
  }
  return nullptr;
}

std::string success_headline(const results& run, const statistics::paired_comparison& outcome) {
  const std::string subject = in_words(outcome.a);
  const std::string control = in_words(outcome.b);
  if (outcome.verdict == verdict::undecided) {
    return fmt::format("This run cannot tell {} from {}.", subject, control);
  }
  if (outcome.verdict == verdict::equivalent) {
    return fmt::format("Of what the source says, {} brings as much as {}, within {:.1f} points.", subject, control,
                       100 * *outcome.margin);
  }
  if (outcome.difference < 0) {
    return fmt::format("With {} the model does worse than with {}.", subject, control);
  }
  return outcome.b == control_of(run, outcome.a, "other_source")
             ? fmt::format("What the source says comes through {}.", subject)
             : fmt::format("With {} the model says more of the source than with {}.", subject, control);
}

std::string stalled_headline(const statistics::paired_comparison& outcome) {
  const std::string subject = in_words(outcome.a);
  const std::string control = in_words(outcome.b);
  if (outcome.verdict == verdict::undecided) {
    return fmt::format("This run cannot tell whether {} makes the model end at once more often than {}.", subject,
                       control);
  }
  if (outcome.verdict == verdict::equivalent) {
    return fmt::format("With {} the model ends at once as often as with {}, within {:.1f} points.", subject, control,
                       100 * *outcome.margin);
  }
  return fmt::format("With {} the model ends at once {} often than with {}.", subject,
                     outcome.difference > 0 ? "more" : "less", control);
}

/// What stands against the text itself.
std::optional<std::string> oracle_sentence(const lookup& in, const std::string& subject, const std::string& variant) {
  const auto* outcome = in.comparison(subject, "text_oracle", variant);
  if (outcome == nullptr) {
    return std::nullopt;
  }
  return fmt::format("{} {}", rates_sentence(in, *outcome, variant), verdict_sentence(*outcome, in.family()));
}

std::optional<std::string> recovery_sentence(const lookup& in, const std::string& subject, const std::string& variant) {
  const content_recovery* found = in.recovery(subject, variant);
  if (found == nullptr || !found->outcome.share) {
    return std::nullopt;
  }
  const statistics::recovered_share& share = *found->outcome.share;
  return fmt::format(
      "{}Of what the source's text adds to another source's cache, {} recovers {:.0f} % (95 % interval {:.0f} to "
      "{:.0f} "
      "%).",
      of_variant(variant), in_words(subject), 100 * share.share, 100 * share.range.low, 100 * share.range.high);
}

/// The variants of the summary's tables; one empty name where there are none.
std::vector<std::string> variants_in(const run_summary& summary) {
  std::vector<std::string> variants;
  for (const condition_summary& each : summary.cells) {
    if (std::find(variants.begin(), variants.end(), each.variant) == variants.end()) {
      variants.push_back(each.variant);
    }
  }
  return variants;
}

/// One variant against another under the questioned conditions and under none.
std::vector<std::string> variant_sentences(const lookup& in, const run_summary& summary,
                                           const std::vector<std::string>& subjects) {
  std::vector<std::string> sentences;
  const auto in_family =
      static_cast<std::size_t>(std::count_if(summary.variants.begin(), summary.variants.end(),
                                             [&](const auto& each) { return each.outcome.metric == in.metric(); }));
  for (const variant_comparison& each : summary.variants) {
    if (each.outcome.metric != in.metric() ||
        (each.condition != "baseline" && std::ranges::find(subjects, each.condition) == subjects.end())) {
      continue;
    }
    const condition_summary* a = in.cell(each.condition, each.outcome.a);
    const condition_summary* b = in.cell(each.condition, each.outcome.b);
    sentences.push_back(fmt::format("With {}, {} against {}: {} and {}, a difference of {}. {}",
                                    in_words(each.condition), each.outcome.a, each.outcome.b,
                                    rate_text(in.rate(*a), a->prompts), rate_text(in.rate(*b), b->prompts),
                                    interval_text(each.outcome), verdict_sentence(each.outcome, in_family)));
  }
  return sentences;
}

/// What a run says of one questioned condition, for one variant of its tests.
finding finding_about(const results& run, const lookup& in, const std::string& subject, const std::string& variant) {
  finding found;
  const auto* outcome = decisive(run, in, subject, variant);
  if (outcome == nullptr) {
    found.headline = fmt::format("Nothing was run to compare {} with.", in_words(subject));
    found.sentences.push_back(counts_sentence(in, subject, variant));
    return found;
  }
  if (!is_enough(*outcome)) {
    found.headline =
        outcome->n < statistics::minimum_prompts
            ? fmt::format("{} prompt{}: a demonstration, not a result.", outcome->n, outcome->n == 1 ? "" : "s")
            : fmt::format("{} template{}: a demonstration, not a result.", outcome->clusters,
                          outcome->clusters == 1 ? "" : "s");
    found.sentences = {counts_sentence(in, subject, variant), counts_sentence(in, outcome->b, variant)};
    return found;
  }
  found.is_result = true;
  found.headline = in.metric() == "stalled" ? stalled_headline(*outcome) : success_headline(run, *outcome);
  found.sentences.push_back(
      fmt::format("{} {}", rates_sentence(in, *outcome, variant), verdict_sentence(*outcome, in.family())));
  for (auto more : {oracle_sentence(in, subject, variant), recovery_sentence(in, subject, variant)}) {
    if (more) {
      found.sentences.push_back(std::move(*more));
    }
  }
  return found;
}

/// Headlines in order of appearance, each once, with the variants that have it.
class headline_list {
 public:
  void add(const std::string& headline, const std::string& variant) {
    if (!variants_of_.contains(headline)) {
      order_.push_back(headline);
    }
    std::vector<std::string>& variants = variants_of_[headline];
    if (std::ranges::find(variants, variant) == variants.end()) {
      variants.push_back(variant);
    }
  }

  /// Variants are named where they do not all have the same.
  [[nodiscard]] std::string text(std::size_t variants) const {
    std::vector<std::string> parts;
    for (const std::string& headline : order_) {
      const auto& have = variants_of_.at(headline);
      parts.push_back(have.size() == variants ? headline : fmt::format("{}: {}", fmt::join(have, ", "), headline));
    }
    return fmt::format("{}", fmt::join(parts, " "));
  }

 private:
  std::map<std::string, std::vector<std::string>> variants_of_;
  std::vector<std::string> order_;
};

}  // namespace

finding finding_of(const results& run, const run_summary& summary) {
  const lookup in(summary, run.metric);
  finding found;
  std::vector<std::string> subjects = questioned_conditions(run);
  if (subjects.empty()) {
    found.headline = "No source's cache was injected in this run.";
    return found;
  }
  subjects.resize(std::min(subjects.size(), most_subjects));
  const std::vector<std::string> variants = variants_in(summary);
  headline_list headlines;
  for (const std::string& subject : subjects) {
    for (const std::string& variant : variants) {
      const finding about = finding_about(run, in, subject, variant);
      headlines.add(about.headline, variant);
      found.is_result = found.is_result || about.is_result;
      for (const std::string& sentence : about.sentences) {
        if (std::ranges::find(found.sentences, sentence) == found.sentences.end()) {
          found.sentences.push_back(sentence);
        }
      }
    }
  }
  for (std::string& sentence : variant_sentences(in, summary, subjects)) {
    found.sentences.push_back(std::move(sentence));
  }
  found.headline = headlines.text(variants.size());
  return found;
}

}  // namespace kvtransfer::detail
