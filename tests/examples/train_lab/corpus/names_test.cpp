#include "corpus/names.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("an invented name is of the wanted split, capitalised, free of reserved names", "[train_lab][corpus]") {
  for (const split wanted : {split::training, split::held_out}) {
    dice throws{4};
    for (int count = 0; count < 2000; ++count) {
      const std::string name = invented_name(throws, wanted);
      CAPTURE(name);
      REQUIRE(split_of(name) == wanted);
      REQUIRE(name.size() >= 4);
      REQUIRE((name.front() >= 'A' && name.front() <= 'Z'));
      REQUIRE(std::all_of(name.begin() + 1, name.end(), [](char letter) { return letter >= 'a' && letter <= 'z'; }));
      REQUIRE_FALSE(holds_reserved_name(name));
    }
  }
}

TEST_CASE("invented names hardly ever repeat and begin with every letter", "[train_lab][corpus]") {
  dice throws{5};
  std::set<std::string> names;
  std::set<char> initials;
  for (int count = 0; count < 5000; ++count) {
    names.insert(invented_name(throws, split::training));
    initials.insert(names.rbegin()->front());
  }
  for (const std::string& name : names) {
    initials.insert(name.front());
  }
  CHECK(names.size() > 4900);
  CHECK(initials.size() == 26);
}
