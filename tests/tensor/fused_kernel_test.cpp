#include "kvtransfer/tensor/fused_kernel.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("an operation that is not loaded has no kernel", "[tensor][fused_kernel]") {
  CHECK_FALSE(detail::find_kernel("kvtransfer::no_such_operation"));
  CHECK_FALSE(detail::has_kernel("kvtransfer::no_such_operation", at::kCPU));
}
