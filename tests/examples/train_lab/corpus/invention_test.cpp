#include "corpus/invention.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("every family tells, asks and answers consistently", "[train_lab][corpus]") {
  for (const fact_family make : inventions) {
    dice throws{13};
    for (int count = 0; count < 100; ++count) {
      const fact told = make(throws, split::held_out);
      CAPTURE(told.statement, told.question, told.answer);
      REQUIRE(told.statement.ends_with("."));
      REQUIRE(told.question.ends_with("?"));
      REQUIRE(told.answer.ends_with("."));
      REQUIRE_FALSE(told.markers.empty());
      for (const std::string& marker : told.markers) {
        REQUIRE(told.statement.find(marker) != std::string::npos);
        REQUIRE(told.answer.find(marker) != std::string::npos);
        REQUIRE(told.question.find(marker + "?") == std::string::npos);
      }
    }
  }
}

TEST_CASE("the families go by different names", "[train_lab][corpus]") {
  dice throws{14};
  std::set<std::string> families;
  for (const fact_family make : inventions) {
    families.insert(make(throws, split::training).family);
  }
  CHECK(families.size() == inventions.size());
}
