#include "corpus/reserved_names.hpp"

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("a reserved name is found in any case and within a word", "[train_lab][corpus]") {
  CHECK(holds_reserved_name("My name is Lyra."));
  CHECK(holds_reserved_name("SEATTLE"));
  CHECK(holds_reserved_name("zephyrs blow"));
  CHECK(holds_reserved_name("Auroraville"));
  CHECK_FALSE(holds_reserved_name("My name is Lyr a."));
  CHECK_FALSE(holds_reserved_name(""));
}
