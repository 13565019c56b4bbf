#include "kvtransfer/rope/rotation.hpp"

#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("attention scaling enters a key when it is rotated and leaves it when it is unrotated", "[rope][rotation]") {
  rotary_specification written = plain_specification(8);
  written.attention_scaling = 2.0;
  rotary_specification wanted = written;
  wanted.attention_scaling = 3.0;
  const at::Tensor positions = random_positions({4});
  CHECK(rope::rotation{.to = positions, .to_specification = wanted}.gain() == 3.0);
  CHECK(rope::rotation{.from = positions, .from_specification = written}.gain() == 0.5);
  CHECK(rope::rotation{positions, positions, 0, written, wanted}.gain() == 1.5);
  CHECK(rope::rotation{.delta = 4, .to_specification = wanted}.gain() == 1.0);
}

}  // namespace kvtransfer::test
