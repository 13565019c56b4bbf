#include <ATen/ops/equal.h>

#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("shift by zero is the identity", "[rope][shift]") {
  const at::Tensor keys = random_keys({1, 2, 4, 8}, at::kBFloat16);
  CHECK(at::equal(rope::shift(keys, 0, plain_specification(8)), keys));
}

TEST_CASE("a shift by a and one by b are a shift by a + b", "[rope][shift]") {
  const rotary_specification specification = plain_specification(16);
  const at::Tensor keys = random_keys({1, 2, 4, 16}, at::kDouble);
  const at::Tensor twice = rope::shift(rope::shift(keys, 123456, specification), -77, specification);
  CHECK(relative_error(twice, rope::shift(keys, 123456 - 77, specification)) < 1e-13);
}

TEST_CASE("keys shifted are keys rotated further on, and attention scaling stays applied once", "[rope][shift]") {
  rotary_specification specification = plain_specification(16);
  specification.attention_scaling = 1.4;
  const at::Tensor keys = random_keys({1, 2, 6, 16}, at::kDouble);
  const at::Tensor positions = random_positions({6});
  at::Tensor moved = rope::rotate(keys, positions, specification);
  rope::shift_(moved, 5000, specification);
  rope::shift_(moved, -12, specification);
  CHECK(relative_error(moved, rope::rotate(keys, positions + 4988, specification)) < 1e-13);
}

TEST_CASE("an equal delta on all of M-RoPE's streams is a plain shift", "[rope][shift]") {
  rotary_specification specification = plain_specification(8);
  specification.stream_of = {0, 1, 2, 1};
  const at::Tensor keys = random_keys({1, 1, 5, 8}, at::kDouble);
  const at::Tensor positions = random_positions({3, 1, 1, 5}, 1000);
  const at::Tensor shifted = rope::shift(rope::rotate(keys, positions, specification), 321, specification);
  CHECK(relative_error(shifted, rope::rotate(keys, positions + 321, specification)) < 1e-13);
}

TEST_CASE("a layer without RoPE is not moved by a shift", "[rope][shift]") {
  const at::Tensor keys = random_keys({1, 2, 4, 8});
  CHECK(at::equal(rope::shift(keys, 1000, rotary_specification{}), keys));
}

TEST_CASE("a shift cannot be model-faithful, since it knows no positions", "[rope][shift]") {
  const rope::options how{.angles = rope::angle_mode::model_faithful};
  CHECK_THROWS_AS(rope::shift(random_keys({1, 1, 1, 8}), 1, plain_specification(8), how), value_error);
}

}  // namespace kvtransfer::test
