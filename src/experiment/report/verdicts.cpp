#include "experiment/report/verdicts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "experiment/report/cells.hpp"

namespace kvtransfer::detail {

namespace {

std::string count_text(statistics::proportion found) { return fmt::format("{} of {}", found.successes, found.trials); }

}  // namespace

std::vector<equality_verdict> equality_verdicts(const results& run) {
  std::vector<equality_verdict> verdicts;
  for (const condition_description& condition : run.conditions) {
    equality_verdict verdict{condition, 0, 0, {}};
    for (const test_record& test : run.tests) {
      const auto compared = compare_with_reference(test, condition);
      verdict.tests += compared ? 1 : 0;
      verdict.equal += compared && compared->all_equal() ? 1 : 0;
      if (compared && compared->first) {
        verdict.differences.emplace_back(test.test.name, *compared->first);
      }
    }
    if (verdict.tests > 0) {
      verdicts.push_back(std::move(verdict));
    }
  }
  return verdicts;
}

std::vector<column_verdict> column_verdicts(const results& run) {
  std::vector<column_verdict> verdicts;
  for (const std::string& column : published_columns(run)) {
    const condition_description* reconstruction = run.find_reconstruction(column);
    if (reconstruction == nullptr) {
      continue;
    }
    column_verdict verdict{column, reconstruction->id, 0, 0, 0, false};
    for (const test_record& test : run.tests) {
      const auto published = test.test.reported.find(column);
      if (published == test.test.reported.end() || published->second.error) {
        continue;
      }
      const auto gives = [&](const std::string& id) {
        const condition_record* record = test.find(id);
        return record != nullptr && agrees(published->second, test.test, *record) ? 1 : 0;
      };
      const condition_record* reconstructed = test.find(reconstruction->id);
      verdict.reconstructed = verdict.reconstructed || (reconstructed != nullptr && !reconstructed->not_applicable);
      ++verdict.cells;
      verdict.by_reconstruction += gives(reconstruction->id);
      verdict.by_proper += gives(column);
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

std::string difference_text(const first_difference& difference) {
  const auto token = [](const std::optional<std::int64_t>& id) {
    return id ? fmt::format("{}", *id) : std::string("the end");
  };
  const std::string margin = difference.margin ? fmt::format("; top-2 margin there {:.3g}", *difference.margin) : "";
  return fmt::format("trial {}, step {} (token {} where the reference has {}{})", difference.trial + 1,
                     difference.at.step, token(difference.at.token), token(difference.at.reference_token), margin);
}

std::string sentence(const equality_verdict& verdict) {
  const std::string equal = fmt::format("{} = {}, token for token, in {} of {} tests", verdict.condition.id,
                                        *verdict.condition.reference, verdict.equal, verdict.tests);
  if (verdict.differences.empty() || !verdict.condition.must_equal_reference) {
    return equal + ".";
  }
  std::vector<std::string> places;
  for (const auto& [test, difference] : verdict.differences) {
    places.push_back(fmt::format("{} at {}", test, difference_text(difference)));
  }
  return fmt::format("{}; first difference: {}.", equal, fmt::join(places, "; "));
}

std::string sentence(const column_verdict& verdict) {
  if (!verdict.reconstructed) {
    return fmt::format("The published column {} is given by {} in {} of {} cells; {} is {}.", verdict.column,
                       verdict.column, verdict.by_proper, verdict.cells, verdict.reconstruction, not_applicable_text);
  }
  return fmt::format("The published column {} is given by {} in {} of {} cells, by {} in {}.", verdict.column,
                     verdict.reconstruction, verdict.by_reconstruction, verdict.cells, verdict.column,
                     verdict.by_proper);
}

std::vector<carried_marker> carried_markers(const test_record& test) {
  const condition_record* transfer = test.find("transfer");
  const condition_record* baseline = test.find("baseline");
  const condition_record* noise = test.find("noise");
  std::vector<carried_marker> carried;
  if (transfer == nullptr || baseline == nullptr || noise == nullptr) {
    return carried;
  }
  std::vector<std::string> markers = usual_markers(test.test, *transfer);
  for (const condition_record* control : {baseline, noise}) {
    for (const std::string& known : usual_markers(test.test, *control)) {
      std::erase(markers, known);
    }
  }
  for (const std::string& marker : markers) {
    carried.push_back({marker, marker_proportion(*transfer, marker), marker_proportion(*baseline, marker),
                       marker_proportion(*noise, marker)});
  }
  return carried;
}

std::string carried_sentence(const results& run) {
  std::vector<std::string> here_alone;
  std::vector<std::string> here_more_often;
  bool known = false;
  for (const test_record& test : run.tests) {
    known = known ||
            (test.find("transfer") != nullptr && test.find("baseline") != nullptr && test.find("noise") != nullptr);
    std::vector<std::string> alone;
    for (const carried_marker& each : carried_markers(test)) {
      if (each.under_neither_control()) {
        alone.push_back(each.transfer.successes == each.transfer.trials
                            ? each.marker
                            : fmt::format("{} in {}", each.marker, count_text(each.transfer)));
      } else {
        here_more_often.push_back(fmt::format("{} ({}: transfer {}, baseline {}, noise {})", each.marker,
                                              test.test.name, count_text(each.transfer), count_text(each.baseline),
                                              count_text(each.noise)));
      }
    }
    if (!alone.empty()) {
      here_alone.push_back(fmt::format("{} ({})", fmt::join(alone, ", "), test.test.name));
    }
  }
  if (!known) {
    return "";
  }
  const std::string alone =
      fmt::format("Found under transfer, and under neither baseline nor noise: {}.",
                  here_alone.empty() ? "nothing" : fmt::format("{}", fmt::join(here_alone, "; ")));
  return here_more_often.empty() ? alone
                                 : fmt::format("{} Found more often under transfer than without it: {}.", alone,
                                               fmt::join(here_more_often, "; "));
}

std::string conclusion(const results& run) {
  std::string text;
  for (const equality_verdict& verdict : equality_verdicts(run)) {
    if (verdict.condition.id == "transfer") {
      text =
          verdict.holds()
              ? "Injected as it is, the source's cache does what the source's text does: the model generates the same "
                "tokens as after reading both prompts as one text."
              : "With the source's cache injected the model does not always generate the tokens that it generates "
                "after "
                "reading both prompts as one text.";
    }
  }
  std::int64_t cells = 0;
  std::int64_t by_reconstruction = 0;
  std::int64_t by_proper = 0;
  for (const column_verdict& verdict : column_verdicts(run)) {
    cells += verdict.cells;
    by_reconstruction += verdict.by_reconstruction;
    by_proper += verdict.by_proper;
  }
  if (cells > 0) {
    text += fmt::format(
        "{}Of {} published cells, {} come out of the conditions as they are named and {} of harnesses that read "
        "something else.",
        text.empty() ? "" : " ", cells, by_proper, by_reconstruction);
  }
  return text;
}

std::vector<std::string> verdict_sentences(const results& run) {
  std::vector<std::string> sentences;
  for (const equality_verdict& verdict : equality_verdicts(run)) {
    if (verdict.condition.must_equal_reference) {
      sentences.push_back(sentence(verdict));
    }
  }
  if (std::string carried = carried_sentence(run); !carried.empty()) {
    sentences.push_back(std::move(carried));
  }
  for (const column_verdict& verdict : column_verdicts(run)) {
    sentences.push_back(sentence(verdict));
  }
  return sentences;
}

}  // namespace kvtransfer::detail
