#include "corpus/places.hpp"

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("ordinals end as English has it", "[train_lab][corpus]") {
  CHECK(ordinal(1) == "1st");
  CHECK(ordinal(2) == "2nd");
  CHECK(ordinal(3) == "3rd");
  CHECK(ordinal(4) == "4th");
  CHECK(ordinal(11) == "11th");
  CHECK(ordinal(12) == "12th");
  CHECK(ordinal(13) == "13th");
  CHECK(ordinal(21) == "21st");
  CHECK(ordinal(47) == "47th");
  CHECK(ordinal(111) == "111th");
}

TEST_CASE("a capital is told, asked and answered with the same two names", "[train_lab][corpus]") {
  dice throws{8};
  const fact told = capital_of(throws, "France", "Paris");
  CHECK(told.statement.starts_with("The capital of France is Paris"));
  CHECK(told.question == "What is the capital of France?");
  CHECK(told.answer == "The capital of France is Paris.");
  CHECK(told.markers == std::vector<std::string>{"Paris"});
}

TEST_CASE("a fairy tale begins as they all do", "[train_lab][corpus]") {
  dice throws{9};
  CHECK(fairy_tale(throws, split::training).statement.starts_with("Once upon a time"));
}
