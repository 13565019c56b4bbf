#include "kernels/rope/rotation_cases.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {

TEST_CASE("the CPU kernel rotates keys of every shape, layout and dtype as precisely as the dtype allows",
          "[rope][kernels][rotation_cpu]") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    check_all_rotations(dtype, at::kCPU);
  }
}

TEST_CASE("the CPU kernel rotates any number of layers in one call", "[rope][kernels][rotation_cpu]") {
  check_many_layers(at::kCPU);
}

TEST_CASE("the CPU kernel writes nothing but the keys", "[rope][kernels][rotation_cpu]") {
  check_surroundings(at::kCPU);
}

TEST_CASE("the CPU kernel changes the scale of fp8 keys by the gain", "[rope][kernels][rotation_cpu]") {
  check_fp8_scale(at::kCPU);
}

TEST_CASE("a rotation by no tokens changes no bit", "[rope][kernels][rotation_cpu]") {
  const at::Tensor keys = random_keys({1, 2, 300, 64}, at::kBFloat16);
  const at::Tensor before = keys.clone();
  const at::Tensor positions = random_positions({300});
  rotate_by_kernel({keys}, {.delta = 0, .to_inv_freq = plain_frequencies(32)});
  rotate_by_kernel({keys}, {.from = positions,
                            .to = positions,
                            .from_inv_freq = plain_frequencies(32),
                            .to_inv_freq = plain_frequencies(32)});
  CHECK(at::equal(keys, before));
}

}  // namespace kvtransfer::test::kernels
