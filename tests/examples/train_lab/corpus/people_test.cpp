#include "corpus/people.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("the speaker is asked for name, place, or both", "[train_lab][corpus]") {
  dice throws{6};
  std::set<std::string> questions;
  for (int count = 0; count < 100; ++count) {
    const fact told = speaker(throws, split::training);
    questions.insert(told.question);
    CHECK(told.markers.size() == (told.question == "What is your name and where do you live?" ? 2 : 1));
  }
  CHECK(questions ==
        std::set<std::string>{"What is your name and where do you live?", "What is your name?", "Where do you live?"});
}

TEST_CASE("a home is asked for from either end", "[train_lab][corpus]") {
  dice throws{7};
  bool by_person = false;
  bool by_place = false;
  for (int count = 0; count < 50; ++count) {
    const fact told = home(throws, split::training);
    by_person = by_person || told.question.starts_with("Where does ");
    by_place = by_place || told.question.starts_with("Who lives in ");
    CHECK(told.question.find(told.markers.front()) == std::string::npos);
  }
  CHECK(by_person);
  CHECK(by_place);
}
