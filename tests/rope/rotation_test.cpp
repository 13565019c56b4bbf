#include "kvtransfer/rope/rotation.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>

#include <cstdint>
#include <limits>

#include "kvtransfer/rope/move_tensor.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

/// `keys` shifted by `delta` in double, by the independent reference.
at::Tensor exactly_shifted(const at::Tensor& keys, std::int64_t delta, const rotary_specification& specification) {
  return rotated_as_complex(keys, specification, 1, [&](auto, auto, auto, std::int64_t i) {
    return static_cast<double>(delta) * specification.inv_freq[static_cast<std::size_t>(i)];
  });
}

}  // namespace

TEST_CASE("attention scaling enters a key when it is rotated and leaves it when it is unrotated", "[rope][rotation]") {
  rotary_specification stored = plain_specification(8);
  stored.attention_scaling = 2.0;
  rotary_specification target = stored;
  target.attention_scaling = 3.0;
  const at::Tensor positions = random_positions({4});
  CHECK(rope::rotation{.to = positions, .to_specification = target}.gain() == 3.0);
  CHECK(rope::rotation{.from = positions, .from_specification = stored}.gain() == 0.5);
  CHECK(rope::rotation{positions, positions, 0, stored, target}.gain() == 1.5);
  CHECK(rope::rotation{.delta = 4, .to_specification = target}.gain() == 1.0);
}

TEST_CASE("a thousand shifts by -1 in bf16 are as exact as one by -1,000", "[rope][rotation]") {
  const rotary_specification specification = plain_specification(64);
  const at::Tensor keys = random_keys({1, 2, 64, 64}, at::kBFloat16);
  rope::rotation lazily;
  at::Tensor eagerly = keys.clone();
  for (int i = 0; i < 1000; ++i) {
    lazily = lazily.then(rope::rotation::shift(-1, specification));
    rope::shift_(eagerly, -1, specification);
  }
  const at::Tensor exact = exactly_shifted(keys, -1000, specification);
  const at::Tensor once = rope::shift(keys, -1000, specification);
  CHECK(at::equal(rope::apply(keys, lazily), once));
  CHECK(relative_error(once, exact) < 1.05 * relative_error(exact.to(at::kBFloat16), exact));
  CHECK(relative_error(eagerly, exact) > 0.1);
}

TEST_CASE("rotations of every kind collapse to one", "[rope][rotation]") {
  rotary_specification stored = plain_specification(16);
  stored.attention_scaling = 1.3;
  rotary_specification target = plain_specification(16, 1e6);
  target.attention_scaling = 1.6;
  const at::Tensor keys = random_keys({1, 2, 6, 16}, at::kDouble);
  const at::Tensor p = random_positions({6}, 1000);
  const at::Tensor q = random_positions({6}, 1000, 3);
  const at::Tensor r = random_positions({6}, 1000, 4);
  using rope::rotation;
  const rotation there = rotation::shift(5, stored)
                             .then(rotation::remap(p + 5, q, stored))
                             .then(rotation::shift(-2, stored))
                             .then(rotation::reframe(q - 2, stored, r, target))
                             .then(rotation::shift(40, target));
  REQUIRE_FALSE(there.is_identity());
  CHECK(at::equal(there.from, p));
  CHECK(at::equal(there.to, r + 40));
  at::Tensor moved = rope::rotate(keys, p, stored);
  rope::apply_(moved, there);
  CHECK(relative_error(moved, rope::rotate(keys, r + 40, target)) < 1e-13);

  const rotation out_and_in = rotation::unrotate(r + 40, target).then(rotation::rotate(p, stored));
  CHECK(relative_error(rope::apply(moved, out_and_in), rope::rotate(keys, p, stored)) < 1e-13);
}

TEST_CASE("rotating and unrotating again is the identity", "[rope][rotation]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor p = random_positions({3});
  const rope::rotation nothing =
      rope::rotation::rotate(p, specification).then(rope::rotation::unrotate(p, specification));
  CHECK(nothing.is_identity());
  const at::Tensor keys = random_keys({1, 1, 3, 8});
  CHECK(at::equal(rope::apply(keys, nothing), keys));
  CHECK(nothing.then(rope::rotation::shift(3, specification)).delta == 3);
}

TEST_CASE("shifts whose sum is no 64-bit integer are not joined", "[rope][rotation]") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const auto shift = [](std::int64_t delta) { return rope::rotation::shift(delta, plain_specification(8)); };
  CHECK_THROWS_AS(shift(most).then(shift(most)), value_error);
  CHECK(shift(most).then(shift(-most)).delta == 0);
}

TEST_CASE("rotations that do not meet are refused", "[rope][rotation]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor p = random_positions({3});
  using rope::rotation;
  const rotation remapped = rotation::remap(p, p + 1, specification);
  CHECK_THROWS_AS(remapped.then(rotation::remap(p, p + 2, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(rotation::rotate(p, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(rotation::shift(1, plain_specification(8, 5e5))), frame_error);
  CHECK_THROWS_AS(rotation::unrotate(p, specification).then(rotation::shift(1, specification)), frame_error);
  CHECK_THROWS_AS(rotation::shift(1, specification).then(rotation::rotate(p, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(rotation::unrotate(random_positions({4}), specification)), frame_error);
}

}  // namespace kvtransfer::test
