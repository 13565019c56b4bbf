#include <ATen/ops/equal.h>

#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("remap lands where rotate would have put the key", "[rope][remap]") {
  rotary_specification specification = plain_specification(16);
  specification.attention_scaling = 1.4;
  const at::Tensor keys = random_keys({2, 3, 6, 20}, at::kDouble);
  const at::Tensor from = random_positions({1, 2, 1, 6});
  const at::Tensor to = random_positions({1, 1, 3, 6}, 1 << 20, 5);
  for (const rope::angle_mode mode : {rope::angle_mode::exact, rope::angle_mode::model_faithful}) {
    const rope::options how{.angles = mode};
    const at::Tensor moved = rope::remap(rope::rotate(keys, from, specification, how), from, to, specification, how);
    CHECK(relative_error(moved, rope::rotate(keys, to, specification, how)) < 1e-13);
  }
}

TEST_CASE("remap there and back is the identity", "[rope][remap]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor keys = random_keys({1, 2, 9, 8}, at::kDouble);
  const at::Tensor p = random_positions({9});
  const at::Tensor q = random_positions({9}, 1 << 20, 3);
  at::Tensor moved = keys.clone();
  rope::remap_(moved, p, q, specification);
  rope::remap_(moved, q, p, specification);
  CHECK(relative_error(moved, keys) < 1e-13);
}

TEST_CASE("a remap by one delta everywhere is a shift", "[rope][remap]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor keys = random_keys({1, 2, 9, 8}, at::kDouble);
  const at::Tensor positions = random_positions({9});
  CHECK(relative_error(rope::remap(keys, positions, positions - 31, specification),
                       rope::shift(keys, -31, specification)) < 1e-10);
}

TEST_CASE("exact and model-faithful moves part ways far out, each true to its own meaning", "[rope][remap]") {
  const rotary_specification specification = plain_specification(64);
  const at::Tensor keys = random_keys({1, 1, 64, 64}, at::kDouble);
  const at::Tensor near = random_positions({64}, 100);
  const at::Tensor far = random_positions({64}, 131072, 9) + 100000;
  const at::Tensor exact = rope::remap(keys, near, far, specification);
  const at::Tensor faithful = rope::remap(keys, near, far, specification, {.angles = rope::angle_mode::model_faithful});
  const double apart = relative_error(exact, faithful);
  CHECK(apart > 1e-4);
  CHECK(apart < 1e-2);
}

}  // namespace kvtransfer::test
