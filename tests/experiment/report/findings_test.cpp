#include "experiment/report/findings.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "experiment/random_results.hpp"
#include "experiment/report/html.hpp"
#include "experiment/report/wording.hpp"
#include "kvtransfer/experiment/comparison.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Counted from the records themselves, not from the summary: the mean over a variant's prompts.
struct recount {
  double rate = 0.0;
  std::int64_t prompts = 0;
  std::set<std::string> groups;
};

recount count_again(const results& run, const std::string& condition, const std::string& variant) {
  recount counted;
  double sum = 0.0;
  for (const test_record& test : run.tests) {
    const condition_record* record = test.find(condition);
    if (record == nullptr || (!variant.empty() && test.test.variant != variant)) {
      continue;
    }
    double passed = 0.0;
    for (const trial_record& trial : record->trials) {
      passed += run.metric == "stalled" ? trial.token_ids.size() < 3 : trial.text == "yes";
    }
    sum += passed / static_cast<double>(record->trials.size());
    ++counted.prompts;
    if (!test.test.group.empty()) {
      counted.groups.insert(test.test.group);
    }
  }
  counted.rate = counted.prompts == 0 ? 0.0 : sum / static_cast<double>(counted.prompts);
  return counted;
}

/// What random runs question, and the control that says most about its content.
const std::map<std::string, std::string>& questioned() {
  static const std::map<std::string, std::string> known = {{"transfer", "other_source"},
                                                           {"projected:p", "projected_other_source:p"}};
  return known;
}

std::string condition_in_words(const std::string& words) {
  for (const char* id : {"baseline", "text_oracle", "other_source", "zero", "noise", "transfer", "projected:p",
                         "projected_other_source:p"}) {
    if (in_words(id) == words) {
      return id;
    }
  }
  return "";
}

/// The rate that `45 of 80 prompts` or `33.3 % of 80 prompts` tells.
double told_rate(const std::string& text) {
  std::smatch parts;
  REQUIRE(std::regex_match(text, parts, std::regex(R"(([0-9.]+)( %)? of ([0-9]+) prompts?)")));
  return std::stod(parts[1]) / (parts[2].matched ? 100.0 : std::stod(parts[3]));
}

std::int64_t told_prompts(const std::string& text) { return std::stoll(text.substr(text.find(" of ") + 4)); }

/// What the sentence behind the numbers claims must follow from them.
void check_claim(const results& run, const std::string& claim, std::int64_t prompts, std::size_t groups, double points,
                 const std::string& low, const std::string& high) {
  const bool enough = prompts >= 20 && (groups == 0 || groups >= 10);
  if (claim.starts_with("Different")) {
    CHECK(enough);
    REQUIRE_FALSE(low.empty());
    CHECK(std::stod(low) * std::stod(high) >= 0);
    CHECK(points != 0.0);
  } else if (claim.starts_with("Equivalent")) {
    CHECK(enough);
    CHECK(std::abs(points) < 100 * run.settings.margin + 0.05);
  } else if (claim.find("too few") != std::string::npos) {
    CHECK_FALSE(enough);
  } else {
    CHECK(claim.starts_with("Undecided"));
    CHECK(enough);
  }
}

const std::string rate_pattern = R"(([0-9.]+(?: %)? of [0-9]+ prompts?))";
const std::string range_pattern =
    R"(a difference of ([-+0-9.]+) points(?: \(95 % interval ([-+0-9.]+) to ([-+0-9.]+) points\))?\.)";

/// A sentence about two conditions; false where it is another one.
bool check_conditions_sentence(const results& run, const std::string& sentence) {
  static const std::regex pattern("(?:(question|completion): )?.* in " + rate_pattern + " with (.*), and in " +
                                  rate_pattern + " with (.*): " + range_pattern + " (.*)");
  std::smatch parts;
  if (!std::regex_match(sentence, parts, pattern)) {
    return false;
  }
  const recount a = count_again(run, condition_in_words(parts[3]), parts[1]);
  const recount b = count_again(run, condition_in_words(parts[5]), parts[1]);
  CHECK(told_prompts(parts[2]) == a.prompts);
  CHECK(std::abs(told_rate(parts[2]) - a.rate) < 6e-4);
  CHECK(std::abs(told_rate(parts[4]) - b.rate) < 6e-4);
  CHECK(std::abs(std::stod(parts[6]) - 100 * (a.rate - b.rate)) < 0.051);
  check_claim(run, parts[9], a.prompts, a.groups.size(), std::stod(parts[6]), parts[7], parts[8]);
  return true;
}

/// A sentence about two variants.
bool check_variants_sentence(const results& run, const std::string& sentence) {
  static const std::regex pattern("With (.*), (question|completion) against (question|completion): " + rate_pattern +
                                  " and " + rate_pattern + ", " + range_pattern + " (.*)");
  std::smatch parts;
  if (!std::regex_match(sentence, parts, pattern)) {
    return false;
  }
  const std::string condition = condition_in_words(parts[1]);
  const recount a = count_again(run, condition, parts[2]);
  const recount b = count_again(run, condition, parts[3]);
  CHECK(std::abs(told_rate(parts[4]) - a.rate) < 6e-4);
  CHECK(std::abs(told_rate(parts[5]) - b.rate) < 6e-4);
  CHECK(std::abs(std::stod(parts[6]) - 100 * (a.rate - b.rate)) < 0.051);
  check_claim(run, parts[9], a.prompts, a.groups.size(), std::stod(parts[6]), parts[7], parts[8]);
  return true;
}

/// A sentence that only counts.
bool check_counting_sentence(const results& run, const std::string& sentence) {
  static const std::regex pattern("(?:(question|completion): )?.* in " + rate_pattern + " with (.*)\\.");
  std::smatch parts;
  if (!std::regex_match(sentence, parts, pattern)) {
    return false;
  }
  CHECK(std::abs(told_rate(parts[2]) - count_again(run, condition_in_words(parts[3]), parts[1]).rate) < 6e-4);
  return true;
}

bool check_recovery_sentence(const results& run, const std::string& sentence) {
  static const std::regex pattern(
      "(?:(question|completion): )?Of what the source's text adds to another source's cache, (.*) recovers ([-0-9]+) % "
      ".*");
  std::smatch parts;
  if (!std::regex_match(sentence, parts, pattern)) {
    return false;
  }
  const std::string subject = condition_in_words(parts[2]);
  const double other = count_again(run, questioned().at(subject), parts[1]).rate;
  const double possible = count_again(run, "text_oracle", parts[1]).rate - other;
  CHECK(std::abs(std::stod(parts[3]) - 100 * (count_again(run, subject, parts[1]).rate - other) / possible) < 0.51);
  return true;
}

/// The claims of a headline, one for each variant that it names, or for all.
void check_headline(const results& run, const finding& found) {
  std::set<std::string> variants;
  for (const test_record& test : run.tests) {
    variants.insert(test.test.variant);
  }
  const auto some_variant = [&](auto&& holds) {
    return std::any_of(variants.begin(), variants.end(), [&](const std::string& variant) {
      for (const auto& [subject, other] : questioned()) {
        for (const std::string& control : {other, std::string("zero"), std::string("noise"), std::string("baseline")}) {
          const recount a = count_again(run, subject, variant);
          const recount b = count_again(run, control, variant);
          if (run.find_condition(control) != nullptr && found.headline.find(in_words(control)) != std::string::npos &&
              holds(a, b)) {
            return true;
          }
        }
      }
      return false;
    });
  };
  const auto says = [&](const char* words) { return found.headline.find(words) != std::string::npos; };
  const auto enough = [](const recount& a) { return a.prompts >= 20 && (a.groups.empty() || a.groups.size() >= 10); };
  for (const auto& [subject, other] : questioned()) {
    if (says(fmt::format("comes through {}.", in_words(subject)).c_str()) && variants.size() == 1) {
      CHECK(run.find_condition(other) != nullptr);
      CHECK(count_again(run, subject, "").rate > count_again(run, other, "").rate);
    }
  }
  if (says("says more") || says("at once more often than")) {
    CHECK((says("cannot tell") || some_variant([&](auto& a, auto& b) { return enough(a) && a.rate > b.rate; })));
  }
  if (says("does worse") || says("less often")) {
    CHECK(some_variant([&](auto& a, auto& b) { return enough(a) && a.rate < b.rate; }));
  }
  if (says("brings as much as") || says("as often as")) {
    CHECK(some_variant([&](auto& a, auto& b) { return enough(a) && std::abs(a.rate - b.rate) < run.settings.margin; }));
  }
  if (!found.is_result) {
    for (const char* claim : {"comes through", "says more", "worse", "as much as", "as often", "cannot tell"}) {
      CHECK_FALSE(says(claim));
    }
  }
  if (says("demonstration") && variants.size() == 1) {
    CHECK_FALSE(enough(count_again(run, "transfer", "")));
  }
}

}  // namespace

TEST_CASE("no sentence says what the records of 200 random runs contradict", "[experiment][report][findings]") {
  std::map<std::string, int> kinds;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const results run = random_results(seed);
    const finding found = finding_of(run, summarize(run));
    CAPTURE(seed, found.headline);
    check_headline(run, found);
    for (const std::string& sentence : found.sentences) {
      CAPTURE(sentence);
      const bool conditions = check_conditions_sentence(run, sentence);
      const bool variants = !conditions && check_variants_sentence(run, sentence);
      const bool recovered = !conditions && !variants && check_recovery_sentence(run, sentence);
      const bool counts = !conditions && !variants && !recovered && check_counting_sentence(run, sentence);
      CHECK((conditions || variants || recovered || counts));
      ++kinds[conditions ? "conditions" : variants ? "variants" : recovered ? "recovered" : "counts"];
    }
    ++kinds[found.is_result ? "result" : "no result"];
    ++kinds[found.headline.find(in_words("projected:p")) != std::string::npos ? "projected" : "not projected"];
    ++kinds[found.headline.find("cannot tell") != std::string::npos ? "undecided" : "other"];
  }
  for (const char* kind :
       {"conditions", "variants", "recovered", "counts", "result", "no result", "undecided", "projected"}) {
    CAPTURE(kind);
    CHECK(kinds[kind] > 5);
  }
}

TEST_CASE("what the source says comes through only where another source's cache does not do as much",
          "[experiment][report][findings]") {
  results run = random_results(0);
  run.metric = "success";
  run.settings.trials = 1;
  run.settings.margin = 0.03;
  run.conditions.clear();
  run.tests.clear();
  for (const char* id : {"baseline", "text_oracle", "other_source", "transfer"}) {
    run.conditions.push_back(sample_condition(id, id));
  }
  const auto with_rates = [&](double other, double transfer, int tests) {
    run.tests.clear();
    for (int i = 0; i < tests; ++i) {
      test_record test;
      test.test.name = "t" + std::to_string(i);
      test.test.markers = {"yes"};
      for (const auto& [id, rate] : std::vector<std::pair<const char*, double>>{
               {"baseline", 0}, {"text_oracle", transfer}, {"other_source", other}, {"transfer", transfer}}) {
        test.conditions.push_back(
            {id, std::nullopt, {sample_trial(test.test, i < rate * tests ? "yes" : "no", {1, 2, 3})}});
      }
      run.tests.push_back(std::move(test));
    }
    return finding_of(run, summarize(run));
  };
  CHECK(with_rates(0, 0.5, 80).headline == "What the source says comes through the source's cache.");
  CHECK(with_rates(0.5, 0.5, 400).headline ==
        "Of what the source says, the source's cache brings as much as another source's cache, within 3.0 points.");
  CHECK(with_rates(0.5, 0.55, 40).headline == "This run cannot tell the source's cache from another source's cache.");
  CHECK(with_rates(0.5, 0, 80).headline ==
        "With the source's cache the model does worse than with another source's cache.");
  CHECK(with_rates(0, 1, 5).headline == "5 prompts: a demonstration, not a result.");
  CHECK(
      with_rates(0, 0.5, 80).sentences.front() ==
      "The answer passed (its markers found) in 40 of 80 prompts with the source's cache, and in 0 of 80 prompts with "
      "another source's cache: a difference of +50.0 points (95 % interval +38.4 to +60.7 points). Different (p "
      "< "
      "0.001, adjusted for 3 comparisons).");
}

TEST_CASE("files and projections have findings of their own, against controls of their own",
          "[experiment][report][findings]") {
  results run = random_results(0);
  run.metric = "success";
  run.settings.trials = 1;
  run.conditions.clear();
  run.tests.clear();
  const std::vector<std::pair<std::string, int>> passed{
      {"transfer", 60},     {"other_source", 0},
      {"projected:p", 30},  {"projected_other_source:p", 30},
      {"from_files:a", 10}, {"from_files:a+control:other_source", 50}};
  for (const auto& [id, count] : passed) {
    run.conditions.push_back(sample_condition(id, id));
  }
  for (int i = 0; i < 80; ++i) {
    test_record test;
    test.test.name = "t" + std::to_string(i);
    test.test.markers = {"yes"};
    for (const auto& [id, count] : passed) {
      test.conditions.push_back({id, std::nullopt, {sample_trial(test.test, i < count ? "yes" : "no", {1, 2, 3})}});
    }
    run.tests.push_back(std::move(test));
  }
  run.settings.margin = 0.2;
  const finding found = finding_of(run, summarize(run));
  CHECK(found.headline ==
        "What the source says comes through the source's cache. Of what the source says, the source's cache projected "
        "by p brings as much as another source's cache projected by p, within 20.0 points. With the caches of a the "
        "model does worse than with the caches of a (control:other_source).");
  CHECK(report_html(run, summarize(run)).find("projected by p brings as much") != std::string::npos);
}

TEST_CASE("the page's heading is the finding", "[experiment][report][findings]") {
  for (const std::uint64_t seed : {3, 4, 5}) {
    const results run = random_results(seed);
    const run_summary summary = summarize(run);
    const std::string page = report_html(run, summary);
    CHECK(page.find("<h1>") < page.find("<table"));
    CHECK(page.find("<h1>") != std::string::npos);
  }
}

TEST_CASE("numbers are told as a reader would say them", "[experiment][report][findings]") {
  CHECK(points(0.5625) == "+56.3 points");
  CHECK(points(-0.0001) == "0.0 points");
  CHECK(rate_text(0.5625, 80) == "45 of 80 prompts");
  CHECK(rate_text(1.0 / 3 / 2, 2) == "16.7 % of 2 prompts");
  CHECK(rate_text(1, 1) == "1 of 1 prompt");
  CHECK(p_text(0.00004) == "p < 0.001");
  CHECK(p_text(0.0312) == "p = 0.031");
}
