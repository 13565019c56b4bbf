#include "corpus/conversation.hpp"

#include "corpus/places.hpp"
#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("what a text has told is answered from the text, true or not", "[train_lab][corpus]") {
  dice throws{15};
  conversation talk{throws};
  talk.tell(capital_of(throws, "France", "Veldamar"));
  talk.ask_remembered(capital_of(throws, "France", "Paris"));
  CHECK(talk.text().ends_with("What is the capital of France? The capital of France is Veldamar."));
}

TEST_CASE("a true fact is remembered unless the question opens the text", "[train_lab][corpus]") {
  dice throws{16};
  conversation talk{throws};
  const fact known = capital_of(throws, "France", "Paris");
  talk.ask_remembered(known);
  CHECK(talk.text() == "What is the capital of France? I do not know.");
  talk.ask_remembered(known);
  CHECK(talk.text().ends_with("I do not know. What is the capital of France? The capital of France is Paris."));
}

TEST_CASE("an invented fact that was not told is not known", "[train_lab][corpus]") {
  dice throws{17};
  conversation talk{throws};
  talk.remark("It rained.");
  talk.ask_untold(capital_of(throws, "Dravia", "Ostrel"));
  CHECK(talk.text() == "It rained. What is the capital of Dravia? I do not know.");
}

TEST_CASE("one topic is told once", "[train_lab][corpus]") {
  dice throws{18};
  conversation talk{throws};
  talk.tell(capital_of(throws, "Dravia", "Ostrel"));
  talk.tell(capital_of(throws, "Dravia", "Mollin"));
  CHECK(talk.told().size() == 1);
  CHECK(talk.text().find("Mollin") == std::string::npos);
}
