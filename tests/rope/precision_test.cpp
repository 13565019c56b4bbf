// How close one move comes to the exact rotation of the stored key, positions up to a million.

#include <ATen/ops/zeros.h>

#include "kvtransfer/rope/move_tensor.hpp"
#include "kvtransfer/rope/rotate_blocks.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

struct remapped {
  at::Tensor moved;
  at::Tensor exact;  ///< float64
};

remapped remap_far(at::ScalarType dtype, rope::pairing pairs, rope::implementation use, at::Device device = at::kCPU) {
  rotary_specification specification = plain_specification(128);
  specification.pairing = pairs;
  const at::Tensor keys = random_keys({1, 2, 128, 128}, dtype);
  const at::Tensor p = random_positions({128});
  const at::Tensor q = random_positions({128}, 1 << 20, 3);
  const at::Tensor exact = rotated_as_complex(keys, specification, 1, [&](auto, auto, std::int64_t s, std::int64_t i) {
    return (q[s] - p[s]).item<double>() * specification.inv_freq[static_cast<std::size_t>(i)];
  });
  return {rope::remap(keys.to(device), p.to(device), q.to(device), specification, {.use = use}).cpu(), exact};
}

double error_of(const remapped& keys) { return relative_error(keys.moved, keys.exact); }

/// The error of rounding the exact result to the dtype of the moved keys.
double rounding_error_of(const remapped& keys) {
  return relative_error(keys.exact.to(keys.moved.scalar_type()), keys.exact);
}

}  // namespace

TEST_CASE("a move is as precise as its dtype", "[rope][precision]") {
  const auto use = GENERATE(rope::implementation::reference, rope::implementation::automatic);
  const auto pairs = GENERATE(rope::pairing::half_split, rope::pairing::interleaved);
  SECTION("sixteen bits: within 1.05x of rounding the exact result") {
    for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
      const remapped keys = remap_far(dtype, pairs, use);
      CHECK(error_of(keys) <= 1.05 * rounding_error_of(keys));
    }
  }
  SECTION("fp32: 1.5e-7") { CHECK(error_of(remap_far(at::kFloat, pairs, use)) <= 1.5e-7); }
  SECTION("float64: 1e-10, what an angle of a million radians leaves") {
    CHECK(error_of(remap_far(at::kDouble, pairs, use)) <= 1e-10);
  }
}

TEST_CASE("a move on a GPU is as precise as its dtype", "[rope][precision][cuda]") {
  if (!cuda_available()) {
    return;
  }
  for (const rope::implementation use : {rope::implementation::reference, rope::implementation::automatic}) {
    for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
      for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
        const remapped keys = remap_far(dtype, pairs, use, at::kCUDA);
        CHECK(error_of(keys) <= 1.05 * rounding_error_of(keys));
      }
      CHECK(error_of(remap_far(at::kFloat, pairs, use, at::kCUDA)) <= 1.5e-7);
      CHECK(error_of(remap_far(at::kDouble, pairs, use, at::kCUDA)) <= 1e-10);
    }
  }
}

TEST_CASE("fp8 keys are rounded once, and refused where they would outgrow their type", "[rope][precision]") {
  const rotary_specification specification = plain_specification(8);
  for (const at::ScalarType dtype : {at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const at::Tensor keys = random_keys({1, 1, 16, 8}).to(dtype);
    const at::Tensor exact = rope::shift(keys.to(at::kDouble), 1000, specification);
    const at::Tensor moved = rope::shift(keys, 1000, specification);
    CHECK(moved.scalar_type() == dtype);
    CHECK(relative_error(moved, exact) <= 1.05 * relative_error(exact.to(at::kFloat).to(dtype), exact));
  }
  for (const auto& [dtype, largest] : {std::pair(at::kFloat8_e4m3fn, 448.0), std::pair(at::kFloat8_e5m2, 57344.0)}) {
    for (const auto use : {rope::implementation::reference, rope::implementation::automatic}) {
      CAPTURE(dtype, use);
      const at::Tensor large = (random_keys({1, 2, 16, 8}).sign() * largest).to(dtype);
      const at::Tensor before = large.clone();
      CHECK_THROWS_AS(rope::shift(large, 1000, specification, {.use = use}), value_error);
      CHECK_THROWS_AS(rope::shift_(large, 1000, specification, {.use = use}), value_error);
      CHECK_THROWS_AS(rope::rotate_blocks_({large.view({16, 2, 1, 8})}, {1, 3, 4},
                                           rope::rotation::shift(1000, specification), {.use = use}),
                      value_error);
      CHECK(large.view(at::kByte).equal(before.view(at::kByte)));
      // Alone in its pair an element turns and does not grow, however large it is.
      const at::Tensor alone = at::zeros({1, 1, 16, 8}, at::kFloat);
      alone.slice(3, 0, 4).fill_(largest);
      const at::Tensor turned = alone.to(dtype);
      rope::shift_(turned, 1000, specification, {.use = use});
      CHECK(turned.to(at::kFloat).abs().max().item<double>() <= largest);
    }
  }
  const at::Tensor half = (random_keys({1, 1, 16, 8}).sign() * 65504).to(at::kHalf);
  for (const auto use : {rope::implementation::reference,
                         rope::implementation::automatic}) {  // as for the model that rotates there: no other number
    const at::Tensor exact = rope::shift(half.to(at::kDouble), 1000, specification);
    const at::Tensor moved = rope::shift(half, 1000, specification, {.use = use});
    CHECK(moved.isinf().equal(exact.abs().gt(65520)));
  }
}

TEST_CASE("positions that the kernels' angles do not reach are rotated right, and refused where nothing is exact",
          "[rope][precision]") {
  const rotary_specification specification = plain_specification(64);
  const at::Tensor keys = random_keys({1, 2, 3, 64}, at::kFloat);
  const auto at_positions = [](std::vector<std::int64_t> tokens) { return integer_tensor(tokens, at::kCPU); };
  const at::Tensor p = at_positions({5, 6, 7});
  for (const std::int64_t far : {std::int64_t{1} << 24, std::int64_t{1} << 27, (std::int64_t{1} << 31) - 9}) {
    for (const std::int64_t sign : {1, -1}) {
      CAPTURE(far, sign);
      const at::Tensor q = at_positions({sign * far, sign * (far + 1), sign * (far + 5)});
      const at::Tensor exact =
          rotated_as_complex(keys, specification, 1, [&](auto, auto, std::int64_t s, std::int64_t i) {
            return (q[s] - p[s]).item<double>() * specification.inv_freq[static_cast<std::size_t>(i)];
          });
      CHECK(relative_error(rope::remap(keys, p, q, specification), exact) < 2e-6);
      CHECK(relative_error(rope::shift(keys, sign * far, specification),
                           rotated_as_complex(keys, specification, 1, [&](auto, auto, auto, std::int64_t i) {
                             return static_cast<double>(sign * far) *
                                    specification.inv_freq[static_cast<std::size_t>(i)];
                           })) < 2e-6);
    }
  }
  const at::Tensor beyond = at_positions({0, 1, (std::int64_t{1} << 31) + 1});
  CHECK_THROWS_WITH(rope::remap(keys, p, beyond, specification),
                    "remap: positions: expected at most 2147483648 from 0, got 2147483649");
  CHECK_THROWS_AS(
      rope::remap(keys, p, at_positions({1 << 25, 0, 0}), specification, {.use = rope::implementation::fused}),
      device_error);
  CHECK_THROWS_AS(rope::shift(keys, std::numeric_limits<std::int64_t>::min(), specification), value_error);
}

}  // namespace kvtransfer::test
