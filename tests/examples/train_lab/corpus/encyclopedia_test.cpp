#include "corpus/encyclopedia.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("the encyclopedia names nothing twice", "[train_lab][corpus]") {
  std::set<std::string_view> countries;
  for (const auto& known : encyclopedia::countries) {
    CHECK(countries.insert(known.name).second);
    CHECK_FALSE(known.capital.empty());
  }
  std::set<std::string_view> compounds;
  for (const auto& known : encyclopedia::compounds) {
    CHECK(compounds.insert(known.name).second);
    CHECK_FALSE(known.formula.empty());
  }
}

TEST_CASE("the completions of the built-in suite are among those to be known", "[train_lab][corpus]") {
  const auto all = completions();
  const auto knows = [&](const char* prompt, const char* ending) {
    return std::any_of(all.begin(), all.end(), [&](const completion& sentence) {
      return sentence.prompt == prompt && sentence.ending == ending;
    });
  };
  CHECK(all.size() == encyclopedia::countries.size() + encyclopedia::compounds.size());
  CHECK(knows("The capital of France is", "Paris"));
  CHECK(knows("The chemical formula for water is", "H2O"));
}

TEST_CASE("a contrary fact shares its topic with a true one", "[train_lab][corpus]") {
  dice throws{12};
  std::set<std::string> known;
  for (int count = 0; count < 2000; ++count) {
    known.insert(remembered_fact(throws).topic);
  }
  for (int count = 0; count < 200; ++count) {
    CHECK(known.contains(contrary_fact(throws, split::training).topic));
  }
}
