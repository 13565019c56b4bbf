#include <ATen/ops/equal.h>

#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("unrotate is the inverse of rotate, attention scaling included", "[rope][unrotate]") {
  for (const rope::angle_mode mode : {rope::angle_mode::exact, rope::angle_mode::model_faithful}) {
    rotary_specification specification = plain_specification(8);
    specification.attention_scaling = 1.3;
    const at::Tensor keys = random_keys({2, 2, 7, 12}, at::kDouble);
    const at::Tensor positions = random_positions({7});
    const rope::options how{.angles = mode};
    const at::Tensor back =
        rope::unrotate(rope::rotate(keys, positions, specification, how), positions, specification, how);
    CHECK(relative_error(back, keys) < 1e-14);
  }
}

TEST_CASE("unrotate in place equals unrotate", "[rope][unrotate]") {
  const rotary_specification specification = plain_specification(8);
  at::Tensor keys = random_keys({1, 2, 4, 8});
  const at::Tensor positions = random_positions({4});
  const at::Tensor expected = rope::unrotate(keys, positions, specification);
  rope::unrotate_(keys, positions, specification);
  CHECK(at::equal(keys, expected));
}

}  // namespace kvtransfer::test
