#include "kernels/rope/pairing_conversion.hpp"

#include <ATen/ops/equal.h>

#include <cstdint>
#include <limits>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {
namespace {

void convert_by_kernel(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  detail::kernels()->convert_pairing_(keys, window_offset, rotary_dim, to_interleaved);
}

void check_conversion(at::ScalarType dtype, at::Device device) {
  for (const auto& [window_offset, rotary_dim, head_dim] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{0, 64, 64}, {3, 10, 17}, {64, 512, 576}}) {
    const at::Tensor roomy = random_keys({2, 4, 9, head_dim}, at::kFloat).to(dtype).to(device);
    const at::Tensor before = roomy.clone();
    const at::Tensor layer = roomy.narrow(1, 1, 2);
    const at::Tensor other = roomy.narrow(1, 3, 1).expand({2, 1, 9, head_dim});
    convert_by_kernel({layer}, window_offset, rotary_dim, true);
    const at::Tensor window = layer.narrow(3, window_offset, rotary_dim).to(at::kFloat);
    const at::Tensor halves = before.narrow(1, 1, 2).narrow(3, window_offset, rotary_dim).to(at::kFloat);
    CHECK(at::equal(window.slice(3, 0, std::nullopt, 2), halves.narrow(3, 0, rotary_dim / 2)));
    CHECK(at::equal(window.slice(3, 1, std::nullopt, 2), halves.narrow(3, rotary_dim / 2, rotary_dim / 2)));
    CHECK(at::equal(other.to(at::kFloat), before.narrow(1, 3, 1).to(at::kFloat)));
    convert_by_kernel({layer}, window_offset, rotary_dim, false);
    CHECK(at::equal(roomy.to(at::kFloat), before.to(at::kFloat)));
  }
}

}  // namespace

TEST_CASE("half-split keys become interleaved and half-split again", "[rope][kernels][pairing_conversion]") {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kFloat8_e4m3fn}) {
    check_conversion(dtype, at::kCPU);
  }
}

TEST_CASE("half-split keys become interleaved and half-split again on CUDA",
          "[rope][kernels][pairing_conversion][cuda]") {
  if (!cuda_available()) {
    return;
  }
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kFloat8_e4m3fn}) {
    check_conversion(dtype, at::kCUDA);
  }
}

TEST_CASE("a window that is odd or leaves the head is not converted", "[rope][kernels][pairing_conversion]") {
  const at::Tensor keys = random_keys({1, 1, 2, 8});
  CHECK_THROWS_AS(convert_by_kernel({keys}, 0, 7, true), shape_error);
  CHECK_THROWS_AS(convert_by_kernel({keys}, 4, 6, true), shape_error);
  CHECK_THROWS_AS(convert_by_kernel({keys}, -1, 6, true), shape_error);
  CHECK_THROWS_AS(convert_by_kernel({keys}, std::numeric_limits<std::int64_t>::max() - 3, 6, true), shape_error);
}

}  // namespace kvtransfer::test::kernels
