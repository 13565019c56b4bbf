#include "kvtransfer/rope/move.hpp"

#include <ATen/ops/equal.h>

#include "kvtransfer/rope/rotate.hpp"
#include "kvtransfer/rope/shift.hpp"
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

TEST_CASE("a thousand shifts by -1 in bf16 are as exact as one by -1,000", "[rope][move]") {
  const rotary_specification specification = plain_specification(64);
  const at::Tensor keys = random_keys({1, 2, 64, 64}, at::kBFloat16);
  rope::move lazily;
  at::Tensor eagerly = keys.clone();
  for (int i = 0; i < 1000; ++i) {
    lazily = lazily.then(rope::move::shift(-1, specification));
    rope::shift_(eagerly, -1, specification);
  }
  const at::Tensor exact = exactly_shifted(keys, -1000, specification);
  const at::Tensor once = rope::shift(keys, -1000, specification);
  CHECK(at::equal(lazily.apply(keys), once));
  CHECK(relative_error(once, exact) < 1.05 * relative_error(exact.to(at::kBFloat16), exact));
  CHECK(relative_error(eagerly, exact) > 0.1);
}

TEST_CASE("moves of every kind collapse to one rotation", "[rope][move]") {
  rotary_specification written = plain_specification(16);
  written.attention_scaling = 1.3;
  rotary_specification wanted = plain_specification(16, 1e6);
  wanted.attention_scaling = 1.6;
  const at::Tensor keys = random_keys({1, 2, 6, 16}, at::kDouble);
  const at::Tensor p = random_positions({6}, 1000);
  const at::Tensor q = random_positions({6}, 1000, 3);
  const at::Tensor r = random_positions({6}, 1000, 4);
  using rope::move;
  const move there = move::shift(5, written)
                         .then(move::remap(p + 5, q, written))
                         .then(move::shift(-2, written))
                         .then(move::reframe(q - 2, written, r, wanted))
                         .then(move::shift(40, wanted));
  REQUIRE(there.as_rotation().has_value());
  CHECK(at::equal(there.as_rotation()->from, p));
  CHECK(at::equal(there.as_rotation()->to, r + 40));
  at::Tensor moved = rope::rotate(keys, p, written);
  there.apply_(moved);
  CHECK(relative_error(moved, rope::rotate(keys, r + 40, wanted)) < 1e-13);

  const move out_and_in = move::unrotate(r + 40, wanted).then(move::rotate(p, written));
  CHECK(relative_error(out_and_in.apply(moved), rope::rotate(keys, p, written)) < 1e-13);
}

TEST_CASE("rotating and unrotating again is the identity", "[rope][move]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor p = random_positions({3});
  const rope::move nothing = rope::move::rotate(p, specification).then(rope::move::unrotate(p, specification));
  CHECK(nothing.is_identity());
  const at::Tensor keys = random_keys({1, 1, 3, 8});
  CHECK(at::equal(nothing.apply(keys), keys));
  CHECK(nothing.then(rope::move::shift(3, specification)).as_rotation()->delta == 3);
}

TEST_CASE("moves that do not meet are refused", "[rope][move]") {
  const rotary_specification specification = plain_specification(8);
  const at::Tensor p = random_positions({3});
  using rope::move;
  const move remapped = move::remap(p, p + 1, specification);
  CHECK_THROWS_AS(remapped.then(move::remap(p, p + 2, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(move::rotate(p, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(move::shift(1, plain_specification(8, 5e5))), frame_error);
  CHECK_THROWS_AS(move::unrotate(p, specification).then(move::shift(1, specification)), frame_error);
  CHECK_THROWS_AS(move::shift(1, specification).then(move::rotate(p, specification)), frame_error);
  CHECK_THROWS_AS(remapped.then(move::unrotate(random_positions({4}), specification)), frame_error);
}

}  // namespace kvtransfer::test
