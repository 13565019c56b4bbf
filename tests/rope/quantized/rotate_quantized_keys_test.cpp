#include "kvtransfer/rope/quantized/rotate_quantized_keys.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <string>
#include <vector>

#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/detail/reference_quantized_rotation.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"
#include "tensor/quantized/schemes.hpp"
#include "tensor/quantized/spread_groups.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const rope::options by_reference{.use = rope::implementation::reference};
const rope::options by_kernel{.use = rope::implementation::fused};

bool quantized_kernel_loaded(at::Device device) {
  const bool loaded = rope::detail::has_kernel("kvtransfer::rotate_quantized_keys_", device);
  if (!loaded) {
    WARN("skipped: kvtransfer_kernels has no kernel for this device");
  }
  return loaded;
}

/// Half of a head rotated, from `window_offset` on, in the pairing given.
rotary_specification window_specification(std::int64_t rotary_dim, std::int64_t window_offset, rope::pairing pairs,
                                          double scaling = 1) {
  rotary_specification specification = plain_specification(rotary_dim);
  specification.window_offset = window_offset;
  specification.pairing = pairs;
  specification.attention_scaling = scaling;
  return specification;
}

/// A rotate of every kind, for keys `[2, 3, seq, …]` on `device`.
std::vector<rope::rotation> rotations_of(const rotary_specification& rotary, std::int64_t seq, at::Device device) {
  rotary_specification wanted = rotary;
  wanted.attention_scaling = 1.5;
  for (float& frequency : wanted.inv_freq) {
    frequency *= 0.75F;
  }
  const at::Tensor p = random_positions({1, 2, 1, seq}, 100000).to(device);
  const at::Tensor q = random_positions({1, 1, 3, seq}, 100000, 3).to(device);
  return {{.delta = -12345, .to_specification = rotary},
          {.to = q, .to_specification = wanted},
          {.from = p, .from_specification = rotary},
          {p, q, 0, rotary, rotary},
          {p, q, 0, rotary, wanted}};
}

/// The largest error of an element as a share of what is promised for its group; only what is valid counts.
double share_of_promise(const quantized_tensor& keys, const at::Tensor& truth, const at::Tensor& valid = {}) {
  const at::Tensor bound = spread_groups(error_bound(keys), keys.scheme, keys.groups);
  const at::Tensor share = (dequantize(keys, at::kDouble).to(at::kCPU) - truth.to(at::kCPU)).abs() / bound.to(at::kCPU);
  return (valid.defined() ? at::where(valid.to(at::kCPU).unsqueeze(-1), share, at::Scalar(0.0)) : share)
      .max()
      .item<double>();
}

at::Tensor rotated_exactly(const at::Tensor& keys, const rope::rotation& rotation) {
  return rope::rotate_keys({keys.to(at::kDouble)}, rotation, by_reference).front();
}

/// Every scheme, rotate and window: within the bound, and not far below it.
void check_rotations_keep_bounds(at::Device device, const rope::options& how) {
  for (const std::int64_t head_dim : {64, 80, 128}) {
    for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
      for (const auto& [rotary_dim, offset] :
           {std::pair<std::int64_t, std::int64_t>{head_dim, 0}, {32, head_dim - 48}, {12, 6}}) {
        const rotary_specification rotary = window_specification(rotary_dim, offset, pairs);
        for (const quantization& scheme : every_scheme(16)) {
          const std::int64_t seq = 53;
          const at::Tensor original = random_keys({2, 3, seq, head_dim}).to(device);
          for (const rope::rotation& rotation : rotations_of(rotary, seq, device)) {
            INFO(describe(scheme) << ", head_dim " << head_dim << ", rotary_dim " << rotary_dim << ", "
                                  << to_string(pairs));
            quantized_tensor keys = quantize(original, scheme);
            const quantized_tensor before = keys.clone();
            rope::rotate_quantized_keys_(keys, rotation, how);
            validate(keys, "test");
            const double share = share_of_promise(keys, rotated_exactly(original, rotation));
            REQUIRE(share <= 1);
            REQUIRE(share > 0.5);
            const rope::detail::rotated_columns columns = rope::detail::columns_rotated_by(rotary, scheme);
            const auto outside = [&](const quantized_tensor& all) {
              const at::Tensor elements = dequantize(all);
              return at::cat({elements.slice(3, 0, columns.first), elements.slice(3, columns.first + columns.count)},
                             3);
            };
            REQUIRE(at::equal(outside(keys), outside(before)));
          }
        }
      }
    }
  }
}

/// Kernel and reference: the same scales but for rounding, the same codes but for ties.
void check_kernel_is_reference(const quantized_tensor& given, const rope::rotation& rotation, const at::Tensor& valid) {
  quantized_tensor fused = given.clone();
  quantized_tensor reference = given.clone();
  rope::rotate_quantized_keys_(fused, rotation, by_kernel, valid);
  rope::rotate_quantized_keys_(reference, rotation, by_reference, valid);
  REQUIRE(relative_error(fused.scales, reference.scales) < 1e-5);
  REQUIRE(relative_error(fused.carried_error, reference.carried_error) < 1e-5);
  const at::Tensor step =
      spread_groups(reference.scales, given.scheme, given.groups) * (2.2 * half_step(given.scheme.format));
  at::Tensor difference = (dequantize(fused, at::kFloat) - dequantize(reference, at::kFloat)).abs();
  if (valid.defined()) {
    difference = at::where(valid.unsqueeze(-1), difference, at::Scalar(0.0)).to(at::kFloat);
  }
  REQUIRE((difference <= step + 1e-5).all().item<bool>());
  REQUIRE((difference > step * 0.01 + 1e-5).to(at::kFloat).mean().item<double>() < 0.01);
}

void check_kernel(at::Device device) {
  for (const std::int64_t head_dim : {64, 80, 128, 26}) {
    for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
      for (const quantization& scheme : every_scheme(head_dim == 26 ? 26 : 16)) {
        const rotary_specification rotary = window_specification(head_dim == 26 ? 22 : 40, 2, pairs);
        const at::Tensor elements = random_keys({2, 3, 53, head_dim}).to(device);
        at::Tensor valid = at::ones({2, 1, 53}, at::kBool).to(device);
        valid[1].slice(1, 0, 20).fill_(false);
        for (const rope::rotation& rotation : rotations_of(rotary, 53, device)) {
          INFO(describe(scheme) << ", head_dim " << head_dim << ", " << to_string(pairs));
          check_kernel_is_reference(quantize(elements, scheme), rotation, {});
          check_kernel_is_reference(quantize(elements, scheme, valid), rotation, valid);
        }
        const rope::rotation rotation = rotations_of(rotary, 29, device).back();
        const quantized_tensor cut =
            slice(quantize(elements, scheme), 7, 36);  // strided, and with groups cut at both ends
        check_kernel_is_reference(cut, rotation, {});
        check_kernel_is_reference(concat(slice(cut, 0, 11), slice(cut, 4, 22)), rotation, {});
      }
    }
  }
}

/// Heads that rotation as a whole, which the kernels read by words, in groups longer than their registers hold and in
/// short ones.
void check_whole_heads(at::Device device) {
  const std::int64_t seq = 301;
  at::Tensor valid = at::ones({2, 1, seq}, at::kBool).to(device);
  valid[1].slice(1, 0, 150).fill_(false);
  for (const std::int64_t head_dim : {32, 64, 96, 128, 256}) {
    for (const rope::pairing pairs : {rope::pairing::half_split, rope::pairing::interleaved}) {
      const rotary_specification rotary = window_specification(head_dim, 0, pairs);
      for (const std::int64_t group_size : {std::int64_t{32}, head_dim}) {
        for (const quantization& scheme : every_scheme(group_size)) {
          INFO(describe(scheme) << ", head_dim " << head_dim << ", " << to_string(pairs));
          const at::Tensor elements = random_keys({2, 3, seq, head_dim}).to(device);
          for (const rope::rotation& rotation : rotations_of(rotary, seq, device)) {
            check_kernel_is_reference(quantize(elements, scheme, valid), rotation, valid);
          }
        }
      }
    }
  }
}

/// Layers in one call are the layers one by one.
void check_layers(at::Device device) {
  const rotary_specification rotary = window_specification(64, 0, rope::pairing::half_split);
  const rope::rotation rotation = rotations_of(rotary, 40, device).back();
  for (const quantization& scheme : every_scheme(16)) {
    std::vector<quantized_tensor> together;
    for (int i = 0; i < 3; ++i) {
      together.push_back(quantize(random_keys({2, 3, 40, 64}).to(device), scheme));
    }
    together.push_back(slice(quantize(random_keys({2, 3, 72, 64}).to(device), scheme), 16, 56));  // other strides
    std::vector<quantized_tensor> apart;
    for (const quantized_tensor& keys : together) {
      apart.push_back(keys.clone());
    }
    rope::rotate_quantized_keys_(together, rotation);
    for (std::size_t i = 0; i < apart.size(); ++i) {
      rope::rotate_quantized_keys_(apart[i], rotation);
      CHECK(at::equal(dequantize(together[i]), dequantize(apart[i])));
      CHECK(at::equal(together[i].carried_error, apart[i].carried_error));
    }
  }
}

void check_padding(at::Device device, const rope::options& how) {
  const rotary_specification rotary = window_specification(16, 0, rope::pairing::half_split);
  at::Tensor valid = at::ones({2, 1, 53}, at::kBool).to(device);
  valid[1].slice(1, 0, 21).fill_(false);
  for (const quantization& scheme : every_scheme(8)) {
    const at::Tensor elements = random_keys({2, 3, 53, 16}).to(device);
    quantized_tensor keys =
        quantize(at::where(valid.unsqueeze(-1), elements, at::Scalar(1e6)).to(at::kFloat), scheme, valid);
    const rope::rotation rotation = rotations_of(rotary, 53, device).front();
    rope::rotate_quantized_keys_(keys, rotation, how, valid);
    CHECK(share_of_promise(keys, rotated_exactly(elements, rotation), valid) <= 1);
  }
}

/// An infinity makes no numbers of the two groups that its pair is rotated into, and of no other.
void check_spoiled(at::Device device, const rotary_specification& rotary) {
  for (const quantization& scheme : every_scheme(8)) {
    at::Tensor elements = random_keys({1, 1, 16, 16}).to(device);
    elements[0][0][3][5].fill_(std::numeric_limits<double>::infinity());
    for (const rope::options& how : {by_reference, rope::options{}}) {
      quantized_tensor keys = quantize(elements, scheme);
      rope::rotate_quantized_keys_(keys, {.delta = 3, .to_specification = rotary}, how);
      CHECK(at::isfinite(keys.scales).logical_not().sum().item<std::int64_t>() == 2);
    }
  }
}

}  // namespace

TEST_CASE("a rotation of codes keeps every element within the stated bound, which is attained", "[rope][quantized]") {
  check_rotations_keep_bounds(at::kCPU, by_reference);
  if (quantized_kernel_loaded(at::kCPU)) {
    check_rotations_keep_bounds(at::kCPU, by_kernel);
  }
}

TEST_CASE("a rotation of codes keeps every element within the stated bound on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_rotations_keep_bounds(at::kCUDA, by_reference);
    check_rotations_keep_bounds(at::kCUDA, by_kernel);
  }
}

TEST_CASE("the fused rotation of codes is the reference's but for ties", "[rope][quantized]") {
  if (quantized_kernel_loaded(at::kCPU)) {
    check_kernel(at::kCPU);
  }
}

TEST_CASE("the fused rotation of codes is the reference's but for ties on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_kernel(at::kCUDA);
  }
}

TEST_CASE("whole heads are rotated by words as element by element", "[rope][quantized]") {
  if (quantized_kernel_loaded(at::kCPU)) {
    check_whole_heads(at::kCPU);
  }
}

TEST_CASE("whole heads are rotated by words as element by element on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_whole_heads(at::kCUDA);
  }
}

TEST_CASE("codes of several layers rotate in one call as they do one by one", "[rope][quantized]") {
  check_layers(at::kCPU);
}

TEST_CASE("codes of several layers rotate in one call as they do one by one on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_layers(at::kCUDA);
  }
}

TEST_CASE("padding does not widen the range of a group that rotates", "[rope][quantized]") {
  check_padding(at::kCPU, by_reference);
  check_padding(at::kCPU, {});
}

TEST_CASE("padding does not widen the range of a group that rotates on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_padding(at::kCUDA, {});
  }
}

TEST_CASE("the error of a pair rotates with it and grows by the square root of two at most", "[rope][quantized]") {
  const rotary_specification rotary = window_specification(16, 0, rope::pairing::half_split);
  for (const quantization& scheme : every_scheme(8)) {
    quantized_tensor keys = quantize(random_keys({1, 1, 8, 16}), scheme);
    const double before = error_bound(keys).max().item<double>();
    rope::rotate_quantized_keys_(keys, {.delta = 3, .to_specification = rotary});
    CHECK(keys.carried_error.max().item<double>() <= std::sqrt(2.0) * before * 1.001);
  }
}

TEST_CASE("codes that rotation again and again stay within a bound that grows with them", "[rope][quantized]") {
  const rotary_specification rotary = window_specification(16, 0, rope::pairing::half_split);
  const at::Tensor elements = random_keys({1, 2, 16, 16});
  quantized_tensor keys = quantize(elements, kivi_keys(8, 16));
  for (int i = 1; i <= 12; ++i) {
    rope::rotate_quantized_keys_(keys, {.delta = 7, .to_specification = rotary});
    CHECK(share_of_promise(keys, rotated_exactly(elements, {.delta = 7 * i, .to_specification = rotary})) <= 1);
  }
}

TEST_CASE("an element that is not finite spoils the groups it is rotated into, by kernel and reference",
          "[rope][quantized]") {
  check_spoiled(at::kCPU, window_specification(16, 0, rope::pairing::half_split));
}

TEST_CASE("an element that is not finite spoils the groups it is rotated into on a GPU", "[rope][quantized][cuda]") {
  if (cuda_available()) {
    check_spoiled(at::kCUDA, window_specification(16, 0, rope::pairing::half_split));
    check_spoiled(at::kCUDA, window_specification(12, 2, rope::pairing::half_split));
  }
}

TEST_CASE("codes that cannot be rotated are refused, and stay", "[rope][quantized]") {
  quantized_tensor keys = quantize(random_keys({2, 3, 21, 16}), kivi_keys(4, 8));
  const at::Tensor codes = keys.codes.clone();
  const rope::rotation rotation{.delta = 3, .to_specification = plain_specification(16)};
  CHECK_THROWS_AS(rope::rotate_quantized_keys_(keys, {.delta = 3, .to_specification = plain_specification(18)}),
                  shape_error);
  CHECK_THROWS_AS(rope::rotate_quantized_keys_(keys, rotation, {.angles = rope::angle_mode::model_faithful}),
                  value_error);
  CHECK_THROWS_AS(rope::rotate_quantized_keys_(keys, rotation, {}, at::ones({2, 1, 20}, at::kBool)), shape_error);
  const rope::rotation odd{.delta = 3, .to_specification = window_specification(8, 3, rope::pairing::half_split)};
  CHECK_THAT(message_of<value_error>([&] { rope::rotate_quantized_keys_(keys, odd); }),
             Equals("rotate_quantized_keys_: window_offset: expected an even number for codes of 4 bits, got 3"));
  quantized_tensor wrong = keys;
  wrong.groups = slot_groups::of_size(8, 20);
  CHECK_THROWS_AS(rope::rotate_quantized_keys_(wrong, rotation), shape_error);
  wrong = keys;
  wrong.minimums = wrong.minimums.slice(2, 1);
  CHECK_THROWS_AS(rope::rotate_quantized_keys_(wrong, rotation), shape_error);
  CHECK(at::equal(keys.codes, codes));
}
