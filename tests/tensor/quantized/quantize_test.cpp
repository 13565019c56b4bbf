#include "kvtransfer/tensor/quantized/quantize.hpp"

#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"
#include "tensor/quantized/schemes.hpp"
#include "tensor/quantized/spread_groups.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// The largest error of a dequantized element as a share of what was promised for its group.
double share_of_bound(const quantized_tensor& quantized, const at::Tensor& elements) {
  const at::Tensor bound = spread_groups(error_bound(quantized), quantized.scheme, quantized.groups);
  const at::Tensor error = (dequantize(quantized, at::kDouble) - elements.to(at::kDouble)).abs();
  REQUIRE(error.sizes() == bound.sizes());
  return (error / bound).max().item<double>();
}

void check_bounds(at::Device device) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const auto& [head_dim, group_size] : {std::pair{64, 32}, {80, 40}, {80, 16}, {128, 128}, {6, 2}}) {
      for (const quantization& scheme : every_scheme(group_size)) {
        for (const std::int64_t seq : {1, 31, 96, 133}) {
          INFO(describe(scheme) << ", " << c10::toString(dtype) << ", head_dim " << head_dim << ", seq " << seq);
          const at::Tensor elements = (random_keys({2, 3, seq, head_dim}, at::kDouble) * 5 + 1).to(dtype).to(device);
          const quantized_tensor quantized = quantize(elements, scheme);
          validate(quantized, "test");
          REQUIRE(quantized.dtype == dtype);
          REQUIRE(dequantize(quantized).scalar_type() == dtype);
          REQUIRE(share_of_bound(quantized, elements) <= 1);
          if (seq > 31 && head_dim > 6) {
            REQUIRE(share_of_bound(quantized, elements) > 0.9);  // the bound is no larger than it must be
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("every element comes back within the bound stated for its group", "[tensor][quantized]") {
  check_bounds(at::kCPU);
}

TEST_CASE("every element comes back within the bound stated for its group on a GPU", "[tensor][quantized][cuda]") {
  if (cuda_available()) {
    check_bounds(at::kCUDA);
  }
}

TEST_CASE("the smallest and the largest element of a group of integers come back as they were", "[tensor][quantized]") {
  const at::Tensor elements = at::arange(0, 256, at::kFloat).view({1, 1, 1, 256}) * 0.25 - 3;
  const quantized_tensor quantized = quantize(elements, {code_format::int8, quantization_axis::per_token, 256});
  CHECK(at::equal(quantized.codes.view({256}).to(at::kLong), at::arange(0, 256, at::kLong)));
  CHECK(at::equal(dequantize(quantized), elements));
}

TEST_CASE("4-bit codes are packed two to a byte, the first in the lower half", "[tensor][quantized]") {
  const at::Tensor elements = at::arange(0, 16, at::kFloat).view({1, 1, 1, 16});
  const quantized_tensor quantized = quantize(elements, {code_format::int4, quantization_axis::per_token, 16});
  CHECK(quantized.codes.size(3) == 8);
  for (std::int64_t i = 0; i < 8; ++i) {
    CHECK(quantized.codes[0][0][0][i].item<std::int64_t>() == 2 * i + 16 * (2 * i + 1));
  }
}

TEST_CASE("a group of equal elements is kept exactly", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    const at::Tensor elements = at::full({1, 2, 20, 16}, 1.5);
    const at::Tensor back = dequantize(quantize(elements, scheme));
    CHECK(max_difference(back, elements) <= 3e-7);
    CHECK(at::equal(dequantize(quantize(elements * 0, scheme)), elements * 0));
  }
}

TEST_CASE("padding does not widen the range of a group", "[tensor][quantized]") {
  at::Tensor held = at::ones({2, 1, 21}, at::kBool);
  held[1].slice(1, 0, 13).fill_(false);
  for (const quantization& scheme : every_scheme(8)) {
    const at::Tensor elements = random_keys({2, 3, 21, 16});
    const at::Tensor dirty = at::where(held.unsqueeze(-1), elements, at::Scalar(1e30)).to(at::kFloat);
    const quantized_tensor clean = quantize(elements, scheme, held);
    const quantized_tensor quantized = quantize(dirty, scheme, held);
    const at::Tensor difference = dequantize(clean) - dequantize(quantized);
    INFO(describe(scheme));
    CHECK(max_difference(difference[0], difference[0] * 0) == 0);
    CHECK(difference[1].slice(1, 13).abs().max().item<double>() == 0);
    if (scheme.is_per_channel()) {
      CHECK(at::equal(clean.scales, quantized.scales));
      CHECK(quantized.scales[1].select(1, 0).abs().max().item<double>() == 0);  // a group of padding alone
    }
  }
}

TEST_CASE("an element that is not finite spoils its group and no other", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    at::Tensor elements = random_keys({1, 1, 16, 16});
    elements[0][0][3][5].fill_(std::numeric_limits<double>::quiet_NaN());
    const at::Tensor finite = at::isfinite(dequantize(quantize(elements, scheme)));
    CHECK(finite.sum().item<std::int64_t>() == 16 * 16 - 8);
  }
}

TEST_CASE("ranges that are hardly there keep the bound", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    for (const double range : {1e-35, 1e-37, 1e-38, 1e-40}) {
      const at::Tensor elements = random_keys({1, 1, 16, 16}) * range;
      const quantized_tensor quantized = quantize(elements, scheme);
      const at::Tensor bound = spread_groups(error_bound(quantized), scheme, quantized.groups);
      INFO(describe(scheme) << ", " << range);
      CHECK((dequantize(quantized) - elements).abs().le(bound).all().item<bool>());
    }
  }
}

TEST_CASE("what cannot be quantized is refused", "[tensor][quantized]") {
  const quantization scheme;
  CHECK_THROWS_AS(quantize(random_keys({2, 3, 64}), scheme), shape_error);
  CHECK_THAT(message_of<shape_error>([&] { quantize(at::ones({1, 1, 4, 64}, at::kInt), scheme); }),
             StartsWith("quantize: elements: expected [batch, kv_heads, seq, head_dim], floating"));
  CHECK_THROWS_AS(quantize(random_keys({1, 1, 4, 64}).requires_grad_(), scheme), value_error);
  CHECK_THROWS_AS(quantize(random_keys({1, 1, 4, 80}), scheme), value_error);
  CHECK_THROWS_AS(quantize(random_keys({2, 1, 4, 64}), scheme, at::ones({3, 1, 4}, at::kBool)), shape_error);
  CHECK_THROWS_AS(quantize(random_keys({2, 1, 4, 64}), scheme, at::ones({2, 1, 4}, at::kFloat)), shape_error);
}

TEST_CASE("a tensor without slots is quantized to one without", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    CHECK(dequantize(quantize(random_keys({2, 3, 0, 16}), scheme)).sizes() == at::IntArrayRef({2, 3, 0, 16}));
  }
}
