#include "corpus/recall_cases.hpp"

#include <set>
#include <sstream>
#include <string>

#include "corpus/document.hpp"
#include "support/test.hpp"

using namespace kvtransfer::corpus;

namespace {

/// The words of a text without the signs around them.
std::set<std::string> words_of(const std::string& text) {
  std::istringstream stream{text};
  std::set<std::string> words;
  for (std::string word; stream >> word;) {
    while (!word.empty() && (word.back() == '.' || word.back() == ',' || word.back() == '?')) {
      word.pop_back();
    }
    words.insert(word);
  }
  return words;
}

}  // namespace

TEST_CASE("few cases are the first of many", "[train_lab][corpus]") {
  const auto many = held_out_cases(50, 1);
  const auto few = held_out_cases(20, 1);
  for (std::size_t index = 0; index < few.size(); ++index) {
    CHECK(few[index].source == many[index].source);
    CHECK(few[index].target == many[index].target);
  }
}

TEST_CASE("a case's source holds its markers and its target ends with a question mark", "[train_lab][corpus]") {
  std::set<std::string> families;
  for (const recall_case& asked : held_out_cases(550, 0)) {
    CAPTURE(asked.source, asked.target);
    families.insert(asked.family);
    REQUIRE(asked.target.ends_with("?"));
    REQUIRE_FALSE(asked.markers.empty());
    for (const std::string& marker : asked.markers) {
      REQUIRE(asked.source.find(marker) != std::string::npos);
    }
  }
  CHECK(families.size() == inventions.size());
}

TEST_CASE("without distractors a source tells one fact", "[train_lab][corpus]") {
  for (const recall_case& asked : held_out_cases(110, 2, 0)) {
    CHECK(asked.source.find('?') == std::string::npos);
    CHECK(asked.source.size() < 120);
  }
}

TEST_CASE("no held-out name occurs in training texts", "[train_lab][corpus]") {
  std::set<std::string> training;
  for (std::uint64_t index = 0; index < 5000; ++index) {
    dice throws{mixed_seed(24, index)};
    training.merge(words_of(training_document(throws)));
  }
  for (const recall_case& asked : held_out_cases(550, 0)) {
    if (asked.family == "speaker" || asked.family == "home" || asked.family == "capital" ||
        asked.family == "president" || asked.family == "fairy tale") {
      for (const std::string& marker : asked.markers) {
        CAPTURE(marker);
        REQUIRE(split_of(marker) == split::held_out);
        REQUIRE_FALSE(training.contains(marker));
      }
    }
  }
}
