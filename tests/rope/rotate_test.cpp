#include <ATen/ops/equal.h>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("rotate rotates by the position and scales once", "[rope][rotate]") {
  for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
    rotary_specification specification = plain_specification(12);
    specification.pairing = pairs;
    specification.window_offset = 2;
    specification.attention_scaling = 1.2;
    const at::Tensor keys = random_keys({2, 3, 5, 16}, at::kDouble);
    const at::Tensor positions = random_positions({1, 2, 3, 5});
    const at::Tensor expected = rotated_as_complex(
        keys, specification, 1.2, [&](std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t i) {
          return positions[0][b][h][s].item<double>() * specification.inv_freq[static_cast<std::size_t>(i)];
        });
    CHECK(relative_error(rope::rotate(keys, positions, specification), expected) < 1e-14);
  }
}

TEST_CASE("model-faithful rotate writes what the model's forward writes", "[rope][rotate]") {
  rotary_specification specification = plain_specification(8);
  specification.attention_scaling = 1.1;
  const at::Tensor keys = random_keys({1, 2, 6, 8});
  const at::Tensor positions = random_positions({6});
  const rope::cos_sin table = rope::cos_sin_table(specification, positions, at::kFloat);
  const at::Tensor expected = rope::apply_rotary(keys, table.cos, table.sin, specification);
  const at::Tensor rotated =
      rope::rotate(keys, positions, specification,
                   {.use = rope::implementation::reference, .angles = rope::angle_mode::model_faithful});
  CHECK(at::equal(rotated, expected));
}

TEST_CASE("rotate in place equals rotate, in strided views too", "[rope][rotate]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor storage = random_keys({2, 5, 3, 10});
  at::Tensor keys = storage.transpose(1, 2);
  const at::Tensor positions = random_positions({5});
  const at::Tensor expected = rope::rotate(keys, positions, specification);
  rope::rotate_(keys, positions, specification);
  CHECK(at::equal(keys, expected));
  CHECK(at::equal(storage.transpose(1, 2), expected));
}

}  // namespace kvtransfer::test
