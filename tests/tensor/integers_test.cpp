#include "kvtransfer/tensor/integers.hpp"

#include <ATen/ops/tensor.h>

#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("integer lists come to the host and go to a device", "[tensor][integers]") {
  const std::vector<std::int64_t> list = {4, -1, 0};
  CHECK(host_integers(at::tensor({4, -1, 0}, at::kInt), "test", "list") == list);
  CHECK(host_integers(at::tensor({4, 9, -1, 9, 0, 9}, at::kLong).view({3, 2}).select(1, 0), "test", "list") == list);
  CHECK(host_integers(integer_tensor(list, at::kCPU), "test", "list") == list);
  CHECK(integer_tensor({}, at::kCPU).numel() == 0);
}

TEST_CASE("what is no list of integers is refused", "[tensor][integers]") {
  CHECK_THROWS_AS(host_integers(at::Tensor(), "test", "list"), shape_error);
  CHECK_THROWS_AS(host_integers(at::tensor({1.0}, at::kFloat), "test", "list"), shape_error);
  CHECK_THROWS_AS(host_integers(at::tensor({1}, at::kLong).view({1, 1}), "test", "list"), shape_error);
}
