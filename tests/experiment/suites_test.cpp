#include "kvtransfer/experiment/suites.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "experiment/suite_json.hpp"
#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/experiment/statistics/verdict.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

std::map<std::string, int> tests_per_group(const suite& tests, std::size_t first) {
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < first; ++i) {
    ++counts[tests.tests[i].group];
  }
  return counts;
}

/// The tests of an item, by variant.
std::map<std::string, std::map<std::string, test_case>> items_of(const suite& tests) {
  std::map<std::string, std::map<std::string, test_case>> items;
  for (const test_case& test : tests.tests) {
    items[test.item][test.variant] = test;
  }
  return items;
}

}  // namespace

TEST_CASE("every suite made by code is one that a file may hold", "[experiment][suite]") {
  for (const suite& made : {suites::recall(), suites::matched_pairs(), suites::stalling(), suites::modes()}) {
    CAPTURE(made.name);
    CHECK(detail::parse_suite(nlohmann::json::parse(suite_text(made)), "file") == made);
  }
}

TEST_CASE("a suite made by code is the same every time and everywhere", "[experiment][suite]") {
  CHECK(suites::recall() == suites::recall());
  CHECK(suites::recall().tests.front().source == "Dulkos lives in Tulkur.");
  CHECK(digest_of(suites::recall()) == "bd7d6a28ff6c09fb52671a7d0e3180c4");
  CHECK(digest_of(suites::matched_pairs()) == "7f11d0880cbaf99bb3d8cca6045dae47");
  CHECK(digest_of(suites::stalling()) == "c990836389709b8e1527ed81d69c0119");
  CHECK(digest_of(suites::modes()) == "501b3455d46d84e963837d76877059c9");
}

TEST_CASE("recall asks 400 facts of 20 templates, of which the first tests hold all alike", "[experiment][suite]") {
  const suite made = suites::recall();
  REQUIRE(made.tests.size() == 400);
  for (const std::size_t first : {80, 400}) {
    const auto counts = tests_per_group(made, first);
    REQUIRE(counts.size() == 20);
    for (const auto& [group, count] : counts) {
      CHECK(count == static_cast<int>(first / 20));
    }
  }
}

TEST_CASE("a recall question gives neither its answer nor the foil away", "[experiment][suite]") {
  for (const test_case& test : suites::recall().tests) {
    CAPTURE(test.name, test.source, test.target);
    CHECK(markers_found(test.source, test) == test.markers);
    CHECK(markers_found(test.target, test).empty());
    CHECK(markers_found(test.source, test.foils, marker_match::whole_words).empty());
    CHECK(markers_found(test.target, test.foils, marker_match::whole_words).empty());
  }
}

TEST_CASE("no recall source tells another test's answer by name", "[experiment][suite]") {
  std::set<std::string> names;
  for (const test_case& test : suites::recall().tests) {
    const std::string& answer = test.markers.front();
    if (answer.front() >= 'A' && answer.front() <= 'Z' && test.group != "formula") {
      CHECK(names.insert(answer).second);
    }
  }
  CHECK(names.size() == 220);
}

TEST_CASE("matched pairs ask for one fact in two forms of one length in the lab model's tokens",
          "[experiment][suite]") {
  const any_tokenizer tokens = open_tokenizer(KVT_SOURCE_DIR "/examples/models/lab-llama");
  const auto items = items_of(suites::matched_pairs());
  CHECK(items.size() == 90);
  for (const auto& [item, variants] : items) {
    CAPTURE(item);
    const test_case& question = variants.at("question");
    const test_case& completion = variants.at("completion");
    CHECK(question.source == completion.source);
    CHECK(question.markers == completion.markers);
    CHECK(question.target.ends_with('?'));
    CHECK_FALSE(completion.target.ends_with('?'));
    CHECK(tokens.encode(question.target).size() == tokens.encode(completion.target).size());
    CHECK(markers_found(question.target + " " + completion.target, question).empty());
  }
}

TEST_CASE("modes asks one untold question behind two sources that differ in their answers alone",
          "[experiment][suite]") {
  const auto items = items_of(suites::modes());
  CHECK(items.size() == 54);
  for (const auto& [item, variants] : items) {
    CAPTURE(item);
    const test_case& grounded = variants.at("grounded");
    const test_case& confabulating = variants.at("confabulating");
    CHECK(grounded.target == confabulating.target);
    CHECK(grounded.markers == confabulating.forbidden);
    CHECK(confabulating.markers == grounded.forbidden);
    CHECK(grounded.source.find("I do not know.") != std::string::npos);
    CHECK(confabulating.source.find("I do not know.") == std::string::npos);
    CHECK(confabulating.source.find(grounded.target) == std::string::npos);
    CHECK(markers_found(confabulating.source, confabulating).empty());
  }
}

TEST_CASE("stalling asks the report's identity test in 20 wordings, raw and as a chat", "[experiment][suite]") {
  const auto items = items_of(suites::stalling());
  CHECK(items.size() == 20);
  std::set<std::string> targets;
  for (const auto& [item, variants] : items) {
    CHECK(variants.at("raw").prompt_form == "raw");
    CHECK(variants.at("chat").prompt_form == "chat");
    CHECK(markers_found(variants.at("raw").source, variants.at("raw")).size() == 2);
    targets.insert(variants.at("raw").target);
  }
  CHECK(targets.size() == 20);
}

TEST_CASE("every suite made by code has enough templates or items for a verdict", "[experiment][suite]") {
  for (const suite& made : {suites::recall(), suites::matched_pairs(), suites::stalling(), suites::modes()}) {
    std::set<std::string> groups;
    std::map<std::string, std::int64_t> per_variant;
    for (const test_case& test : made.tests) {
      groups.insert(test.group);
      ++per_variant[test.variant];
    }
    CAPTURE(made.name);
    CHECK((groups == std::set<std::string>{""} ||
           static_cast<std::int64_t>(groups.size()) >= statistics::minimum_clusters));
    for (const auto& [variant, count] : per_variant) {
      CHECK(count >= statistics::minimum_prompts);
    }
  }
}
