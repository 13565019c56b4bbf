#include "corpus/matter.hpp"

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("a sentence opens with a capital letter", "[train_lab][corpus]") {
  CHECK(opening_sentence("water") == "Water");
  CHECK(opening_sentence("Scajem") == "Scajem");
}

TEST_CASE("a change of state is asked with the verb's stem and answered in full", "[train_lab][corpus]") {
  dice throws{10};
  const fact told = change_of_state(throws, "water", "boil", 100);
  CHECK(told.question == "At what temperature does water boil?");
  CHECK(told.answer == "Water boils at 100 degrees Celsius.");
  CHECK(told.markers == std::vector<std::string>{"100", "Celsius"});
}

TEST_CASE("an invented formula begins with an element", "[train_lab][corpus]") {
  dice throws{11};
  for (int count = 0; count < 100; ++count) {
    const std::string formula = invented_formula(throws);
    CHECK((formula.front() >= 'A' && formula.front() <= 'Z'));
    CHECK(formula.size() >= 2);
  }
}
