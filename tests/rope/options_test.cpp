#include "kvtransfer/rope/options.hpp"

#include "support/test.hpp"

TEST_CASE("moves are exact and choose their implementation unless told otherwise", "[rope][options]") {
  const kvtransfer::rope::options how;
  CHECK(how.use == kvtransfer::rope::implementation::automatic);
  CHECK(how.angles == kvtransfer::rope::angle_mode::exact);
  CHECK_FALSE(how.norm_weight.defined());
  CHECK(to_string(kvtransfer::rope::implementation::fused) == "fused");
}
