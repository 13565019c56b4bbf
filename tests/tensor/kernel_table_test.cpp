#include "kvtransfer/tensor/kernel_table.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("a program that is linked to the kernels finds their table", "[tensor][kernel_table]") {
  REQUIRE(detail::kernels() != nullptr);
  CHECK(detail::kernels()->version == detail::kernel_table::current_version);
  CHECK(detail::has_kernel("kvtransfer::copy_slots_", at::kCPU));
  CHECK(detail::kernels()->has_autograd("kvtransfer::rotate_keys", at::kCPU));
}

TEST_CASE("an operation that is not loaded has no kernel", "[tensor][kernel_table]") {
  CHECK_FALSE(detail::has_kernel("kvtransfer::no_such_operation", at::kCPU));
  CHECK_FALSE(detail::has_kernel("kvtransfer::copy_slots_", at::kMeta));
}
