#include "kvtransfer/rope/pairing.hpp"

#include "support/test.hpp"

TEST_CASE("pairings have names", "[rope][pairing]") {
  CHECK(to_string(kvtransfer::rope::pairing::half_split) == "half_split");
  CHECK(to_string(kvtransfer::rope::pairing::interleaved) == "interleaved");
}
