#include "kernels/rope/rotation_cases.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {

TEST_CASE("the CUDA kernel rotates keys of every shape, layout and dtype as precisely as the dtype allows",
          "[rope][kernels][rotation_cuda][cuda]") {
  if (!cuda_available()) {
    return;
  }
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    check_all_rotations(dtype, at::kCUDA);
  }
}

TEST_CASE("the CUDA kernel rotates any number of layers in one call", "[rope][kernels][rotation_cuda][cuda]") {
  if (cuda_available()) {
    check_many_layers(at::kCUDA);
  }
}

TEST_CASE("the CUDA kernel writes nothing but the keys", "[rope][kernels][rotation_cuda][cuda]") {
  if (cuda_available()) {
    check_surroundings(at::kCUDA);
  }
}

TEST_CASE("the CUDA kernel changes the scale of fp8 keys by the gain", "[rope][kernels][rotation_cuda][cuda]") {
  if (cuda_available()) {
    check_fp8_scale(at::kCUDA);
  }
}

TEST_CASE("the kernels of CPU and CUDA agree to the last bits", "[rope][kernels][rotation_cuda][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const head_shape head{128, 0, 128};
  for (const kernel_rotation& rotation : kinds_of_rotation(head, 2, 3, 501)) {
    const at::Tensor keys = random_keys({2, 3, 501, 128}, at::kFloat);
    CHECK(relative_error(rotated_by_kernel({keys.cuda()}, rotation)[0].cpu(), rotated_by_kernel({keys}, rotation)[0]) <
          1e-7);
  }
}

}  // namespace kvtransfer::test::kernels
