#include "kvtransfer/rope/detail/fused_kernels.hpp"

#include <ATen/ops/equal.h>

#include "kvtransfer/rope/convert_pairing.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

/// Whether the library of kernels is loaded. Says so where it is not: a skipped test must be seen.
bool kernels_loaded() {
  const bool loaded = rope::detail::has_kernel("kvtransfer::rotate_keys_", at::kCPU);
  if (!loaded) {
    WARN("skipped: kvtransfer_kernels is not loaded");
  }
  return loaded;
}

/// Rotations that use every argument of the kernel.
std::vector<rope::rotation> rotations_of_every_kind() {
  rotary_specification stored = plain_specification(16);
  stored.window_offset = 8;
  stored.stream_of = {0, 1, 2, 0, 1, 2, 0, 0};
  stored.attention_scaling = 1.25;
  rotary_specification target = plain_specification(16, 5e5);
  target.window_offset = 8;
  target.stream_of = stored.stream_of;
  target.attention_scaling = 1.5;
  const at::Tensor p = random_positions({3, 2, 1, 9});
  const at::Tensor q = random_positions({1, 1, 3, 9}, 1 << 20, 3);
  return {{.to = q, .to_specification = target},
          {.from = p, .from_specification = stored},
          {.delta = -12345, .to_specification = target},
          {p, q, 0, stored, stored},
          {p, q, 0, stored, target}};
}

}  // namespace

TEST_CASE("the fused kernel is chosen where it is loaded and can read the keys", "[rope][fused_kernels]") {
  if (!kernels_loaded()) {
    return;
  }
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  CHECK(rope::implementation_used(keys) == rope::implementation::fused);
  CHECK(rope::implementation_used(keys, {.use = rope::implementation::reference}) == rope::implementation::reference);
  CHECK(rope::implementation_used(keys.to(at::kDouble)) == rope::implementation::reference);
  CHECK(rope::implementation_used(keys.transpose(2, 3)) == rope::implementation::reference);
  CHECK(rope::implementation_used(keys, {}, plain_specification(1024)) == rope::implementation::reference);
  CHECK_THROWS_AS(rope::implementation_used(keys.to(at::kDouble), {.use = rope::implementation::fused}), device_error);
}

TEST_CASE("the fused kernel and the reference rotate alike", "[rope][fused_kernels]") {
  if (!kernels_loaded()) {
    return;
  }
  for (rope::rotation rotation : rotations_of_every_kind()) {
    for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
      rotation.from_specification.pairing = pairs;
      rotation.to_specification.pairing = pairs;
      for (const rope::angle_mode mode : {rope::angle_mode::exact, rope::angle_mode::model_faithful}) {
        if (rotation.is_shared_delta() && mode == rope::angle_mode::model_faithful) {
          continue;
        }
        const at::Tensor keys = random_keys({2, 3, 9, 32});
        const at::Tensor reference =
            rope::rotate_keys({keys}, rotation, {.use = rope::implementation::reference, .angles = mode}).front();
        const rope::options fused{.use = rope::implementation::fused, .angles = mode};
        CHECK(relative_error(rope::rotate_keys({keys}, rotation, fused).front(), reference) < 3e-7);
        const at::Tensor in_place = keys.clone();
        rope::rotate_keys_({in_place}, rotation, fused);
        CHECK(relative_error(in_place, reference) < 3e-7);
      }
    }
  }
}

TEST_CASE("the fused kernel's gradient is the reference's", "[rope][fused_kernels][gradient]") {
  if (!kernels_loaded()) {
    return;
  }
  const at::Tensor upstream = random_keys({2, 3, 9, 32}, at::kFloat, 8);
  for (const rope::rotation& rotation : rotations_of_every_kind()) {
    const auto gradient = [&](rope::implementation use) {
      const at::Tensor keys = random_keys({2, 3, 9, 32}).requires_grad_();
      rope::rotate_keys({keys}, rotation, {.use = use}).front().backward(upstream);
      return keys.grad();
    };
    CHECK(relative_error(gradient(rope::implementation::fused), gradient(rope::implementation::reference)) < 3e-7);
  }
}

TEST_CASE("the fused conversion of pairings is the reference's", "[rope][fused_kernels]") {
  if (!kernels_loaded()) {
    return;
  }
  rotary_specification specification = plain_specification(16);
  specification.window_offset = 4;
  const at::Tensor keys = random_keys({2, 3, 9, 24}, at::kBFloat16);
  const at::Tensor expected = rope::convert_pairing(keys, specification, rope::pairing::interleaved);
  rope::convert_pairing_(keys, specification, rope::pairing::interleaved, {.use = rope::implementation::fused});
  CHECK(at::equal(keys, expected));
}

}  // namespace kvtransfer::test
