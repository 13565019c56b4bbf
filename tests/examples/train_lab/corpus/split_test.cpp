#include "corpus/split.hpp"

#include "corpus/names.hpp"
#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("a name's split never changes", "[train_lab][corpus]") {
  // Names that a committed model was trained on must stay on their side.
  CHECK(split_of("Plefantiia") == split::training);
  CHECK(split_of("Bloorkoammel") == split::held_out);
}

TEST_CASE("about one name in eight is held out", "[train_lab][corpus]") {
  dice throws{3};
  int held_out = 0;
  for (int count = 0; count < 8000; ++count) {
    held_out += split_of(spelled_name(throws)) == split::held_out;
  }
  CHECK(held_out > 850);
  CHECK(held_out < 1150);
}
