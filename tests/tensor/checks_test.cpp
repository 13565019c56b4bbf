#include "kvtransfer/tensor/checks.hpp"

#include <ATen/ops/empty.h>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

at::Tensor empty_tensor(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU) {
  return at::empty(sizes, at::TensorOptions().dtype(dtype).device(device));
}

}  // namespace

TEST_CASE("a tensor is described by sizes, type and device", "[tensor][checks]") {
  CHECK(describe(empty_tensor({2, 8, 5, 64})) == "[2, 8, 5, 64] Float on cpu");
  CHECK(describe(empty_tensor({}, at::kBool)) == "[] Bool on cpu");
  CHECK(describe(empty_tensor({3}, at::kBFloat16, at::kMeta)) == "[3] BFloat16 on meta");
  CHECK(describe(at::Tensor()) == "an undefined tensor");
}

TEST_CASE("keys have four axes and a floating type", "[tensor][checks]") {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    CHECK_NOTHROW(require_heads_tensor(empty_tensor({1, 2, 3, 4}, dtype), "shift", "keys"));
  }
  CHECK_THROWS_AS(require_heads_tensor(empty_tensor({1, 2, 3, 4}, at::kLong), "shift", "keys"), shape_error);
  CHECK_THROWS_AS(require_heads_tensor(empty_tensor({2, 3, 4}), "shift", "keys"), shape_error);
  CHECK_THROWS_AS(require_heads_tensor(at::Tensor(), "shift", "keys"), shape_error);
  CHECK(message_of<shape_error>([] { require_heads_tensor(empty_tensor({2, 3}), "shift", "keys"); }) ==
        "shift: keys: expected [batch, kv_heads, seq, head_dim], floating, got [2, 3] Float on cpu");
}

TEST_CASE("extents name the axes", "[tensor][checks]") {
  CHECK(extents_of(empty_tensor({1, 2, 3, 4})) == cache_extents{1, 2, 3, 4});
}

TEST_CASE("two tensors on one device pass, on two devices they do not", "[tensor][checks]") {
  CHECK_NOTHROW(require_same_device(empty_tensor({1}), empty_tensor({2}, at::kLong), "shift", "positions"));
  CHECK(message_of<device_error>([] {
          require_same_device(empty_tensor({1}), empty_tensor({1}, at::kFloat, at::kMeta), "shift", "positions");
        }) == "shift: positions: expected cpu, got meta");
}
