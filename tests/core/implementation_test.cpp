#include "kvtransfer/core/implementation.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("implementations are called by their names", "[core][implementation]") {
  CHECK(to_string(implementation::automatic) == "automatic");
  CHECK(to_string(implementation::reference) == "reference");
  CHECK(to_string(implementation::fused) == "fused");
  CHECK(to_string(static_cast<implementation>(9)) == "unknown");
}
