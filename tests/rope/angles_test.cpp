#include "kvtransfer/rope/angles.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>

#include <cmath>

#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("the model's table has fp32 angles even in a float64 model", "[rope][angles]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor positions = random_positions({6});
  const rope::cos_sin table = rope::cos_sin_table(specification, positions, at::kDouble);
  REQUIRE(table.cos.sizes() == at::IntArrayRef{1, 1, 6, 4});
  CHECK(at::equal(table.cos, table.cos.to(at::kFloat).to(at::kDouble)));
  for (std::int64_t s = 0; s < 6; ++s) {
    const float angle = static_cast<float>(positions[s].item<std::int64_t>()) * specification.inv_freq[1];
    CHECK(table.sin[0][0][s][1].item<double>() == Approx(std::sin(static_cast<double>(angle))).margin(1e-7));
  }
}

TEST_CASE("attention scaling multiplies the model's table once", "[rope][angles]") {
  rotary_specification specification = plain_specification(8);
  const at::Tensor positions = at::arange(5, at::kLong);
  const rope::cos_sin plain = rope::cos_sin_table(specification, positions, at::kFloat);
  specification.attention_scaling = 1.25;
  const rope::cos_sin scaled = rope::cos_sin_table(specification, positions, at::kFloat);
  CHECK(at::equal(scaled.cos, plain.cos * 1.25));
  CHECK(at::equal(scaled.sin, plain.sin * 1.25));
}

TEST_CASE("apply_rotary rotates each pair of the window as a complex number, in both pairings", "[rope][angles]") {
  for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
    rotary_specification specification = plain_specification(8);
    specification.pairing = pairs;
    specification.window_offset = 4;
    const at::Tensor x = random_keys({2, 3, 5, 14}, at::kDouble);
    const at::Tensor positions = at::arange(5, at::kLong);
    const rope::cos_sin table = rope::cos_sin_table(specification, positions, at::kDouble);
    const at::Tensor expected =
        rotated_as_complex(x, specification, 1, [&](auto, auto, std::int64_t s, std::int64_t i) {
          return static_cast<double>(static_cast<float>(s) * specification.inv_freq[static_cast<std::size_t>(i)]);
        });
    CHECK(relative_error(rope::apply_rotary(x, table.cos, table.sin, specification), expected) < 1e-7);
  }
}

TEST_CASE("each M-RoPE frequency reads the positions of its own stream", "[rope][angles]") {
  rotary_specification specification = plain_specification(8);
  specification.stream_of = {0, 2, 1, 0};
  const at::Tensor positions = random_positions({3, 1, 1, 4}, 100);
  const at::Tensor angles = rope::angles_at(specification, positions, at::kDouble);
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto pair = static_cast<std::size_t>(i);
    const at::Tensor expected = positions[specification.stream_of[pair]].to(at::kDouble) * specification.inv_freq[pair];
    CHECK(at::equal(angles.select(-1, i), expected));
  }
  const at::Tensor shared = rope::angles_at(specification, positions.narrow(0, 1, 1), at::kDouble);
  CHECK(at::equal(shared.select(-1, 1), positions[1].to(at::kDouble) * specification.inv_freq[1]));
}

TEST_CASE("a layer without RoPE leaves queries and keys alone", "[rope][angles]") {
  const at::Tensor x = random_keys({1, 1, 2, 8});
  CHECK(at::equal(rope::apply_rotary(x, {}, {}, rotary_specification{}), x));
}

}  // namespace kvtransfer::test
