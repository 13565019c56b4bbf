#include "kvtransfer/tensor/split_keys_values.hpp"

#include "kvtransfer/core/error.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("keys and values of one tensor are its two halves, where they lie", "[tensor][split_keys_values]") {
  const at::Tensor joined = random_keys({6, 2, 4, 3, 8});
  const keys_and_values halves = split_keys_values({joined, joined}, 1);
  REQUIRE(halves.keys.size() == 2);
  CHECK(halves.keys[1].sizes() == at::IntArrayRef{6, 4, 3, 8});
  CHECK(halves.values[0].data_ptr() == joined.select(1, 1).data_ptr());
}

TEST_CASE("a tensor without such an axis is refused", "[tensor][split_keys_values]") {
  CHECK_THROWS_AS(split_keys_values({random_keys({6, 3, 4, 3, 8})}, 1), shape_error);
  CHECK_THROWS_AS(split_keys_values({random_keys({2, 3})}, 2), shape_error);
  CHECK_THROWS_AS(split_keys_values({at::Tensor()}, 0), shape_error);
}
