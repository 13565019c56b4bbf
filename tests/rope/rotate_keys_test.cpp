#include "kvtransfer/rope/rotate_keys.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include <cstdint>
#include <limits>

#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

rope::rotation some_rotation(const at::Tensor& from, const at::Tensor& to) {
  rope::rotation rotation{from, to, 0, plain_specification(8), plain_specification(8, 5e5)};
  rotation.to_specification.attention_scaling = 1.5;
  return rotation;
}

/// What `rotate_keys_` says about `keys` it refuses; empty if it takes them.
template <class Error>
std::string complaint(const std::vector<at::Tensor>& keys, const rope::rotation& rotation,
                      const rope::options& how = {}) {
  try {
    rope::rotate_keys_(keys, rotation, how, "move");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("one call rotates every layer as the call for one layer does", "[rope][rotate_keys]") {
  const rope::rotation rotation = some_rotation(random_positions({5}), random_positions({5}, 1 << 20, 2));
  std::vector<at::Tensor> layers = {random_keys({2, 3, 5, 12}), random_keys({2, 3, 5, 12}, at::kFloat, 8)};
  const std::vector<at::Tensor> rotated = rope::rotate_keys(layers, rotation);
  rope::rotate_keys_(layers, rotation);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    CHECK(at::equal(layers[layer], rotated[layer]));
  }
}

TEST_CASE("elements outside the rotary window keep their bits", "[rope][rotate_keys]") {
  rope::rotation rotation{.delta = 77, .to_specification = plain_specification(8)};
  rotation.to_specification.window_offset = 4;
  const at::Tensor keys = random_keys({1, 2, 5, 16}, at::kHalf);
  const at::Tensor rotated = rope::rotate_keys({keys}, rotation).front();
  CHECK(at::equal(rotated.narrow(-1, 0, 4), keys.narrow(-1, 0, 4)));
  CHECK(at::equal(rotated.narrow(-1, 12, 4), keys.narrow(-1, 12, 4)));
  CHECK_FALSE(at::equal(rotated, keys));
}

TEST_CASE("a rotation of an expanded view reads it as the tensor it stands for", "[rope][rotate_keys]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 1, 5, 8}).expand({2, 3, 5, 8});
  CHECK(
      at::equal(rope::rotate_keys({keys}, rotation).front(), rope::rotate_keys({keys.contiguous()}, rotation).front()));
}

TEST_CASE("empty keys are rotated to empty keys", "[rope][rotate_keys]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 0, 8});
  CHECK(rope::rotate_keys({keys}, rotation).front().sizes() == keys.sizes());
  CHECK_NOTHROW(rope::rotate_keys_({keys, keys}, rotation));
}

TEST_CASE("the gradient of a rotation is rotated back, times the gain", "[rope][rotate_keys][gradient]") {
  const rope::rotation rotation = some_rotation(random_positions({5}), random_positions({5}, 1 << 20, 2));
  const rope::rotation back{rotation.to, rotation.from, 0, rotation.to_specification, rotation.from_specification};
  const at::Tensor keys = random_keys({1, 2, 5, 12}, at::kDouble).requires_grad_();
  const at::Tensor upstream = random_keys({1, 2, 5, 12}, at::kDouble, 9);
  rope::rotate_keys({keys}, rotation).front().backward(upstream);
  at::Tensor expected = rope::rotate_keys({upstream}, back).front();
  expected.narrow(-1, 0, 8).mul_(rotation.gain() * rotation.gain());
  CHECK(relative_error(keys.grad(), expected) < 1e-13);
}

TEST_CASE("the gradient of a rotation agrees with finite differences", "[rope][rotate_keys][gradient]") {
  const rope::rotation rotation = some_rotation(random_positions({3}), random_positions({3}, 1 << 20, 2));
  const at::Tensor keys = random_keys({1, 1, 3, 8}, at::kDouble).requires_grad_();
  const at::Tensor weights = random_keys({1, 1, 3, 8}, at::kDouble, 4);
  const auto loss = [&](const at::Tensor& x) { return (rope::rotate_keys({x}, rotation).front() * weights).sum(); };
  loss(keys).backward();
  const at::NoGradGuard without_gradient;
  for (std::int64_t element = 0; element < 8; ++element) {
    at::Tensor nudged = keys.detach().clone();
    nudged[0][0][1][element] += 1e-3;
    const double slope = (loss(nudged) - loss(keys)).item<double>() / 1e-3;
    CHECK(slope == Approx(keys.grad()[0][0][1][element].item<double>()).margin(1e-9));
  }
}

TEST_CASE("keys whose norm came after RoPE move only with its weight", "[rope][rotate_keys][norm]") {
  rope::rotation rotation = some_rotation(random_positions({4}), random_positions({4}, 1 << 20, 2));
  rotation.from_specification.normed_after_rotation = true;
  rotation.to_specification.normed_after_rotation = true;
  const at::Tensor weight = random_keys({12}, at::kDouble, 5).abs() + 0.5;
  const at::Tensor rotated = random_keys({1, 2, 4, 12}, at::kDouble);
  const at::Tensor cached = rotated * weight;
  CHECK(complaint<frame_error>({cached}, rotation).find("does not commute") != std::string::npos);

  const at::Tensor moved = rope::rotate_keys({cached}, rotation, {.norm_weight = weight}).front();
  rope::rotation without_norm = rotation;
  without_norm.from_specification.normed_after_rotation = false;
  without_norm.to_specification.normed_after_rotation = false;
  CHECK(relative_error(moved, rope::rotate_keys({rotated}, without_norm).front() * weight) < 1e-14);
  CHECK_FALSE(complaint<value_error>({cached}, without_norm, {.norm_weight = weight}).empty());

  at::Tensor zeroed = weight.clone();
  zeroed[3] = 0;
  CHECK_FALSE(complaint<value_error>({cached}, rotation, {.norm_weight = zeroed}).empty());
  CHECK_FALSE(complaint<shape_error>({cached}, rotation, {.norm_weight = weight.narrow(0, 0, 8)}).empty());
}

TEST_CASE("keys that cannot be rotated are refused", "[rope][rotate_keys][misuse]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  CHECK(complaint<shape_error>({keys.to(at::kInt)}, rotation) ==
        "move: keys: expected [batch, kv_heads, seq, head_dim], floating, got [1, 2, 5, 8] Int on cpu");
  CHECK_FALSE(complaint<shape_error>({keys.squeeze(0)}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({at::Tensor()}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({keys, keys.to(at::kHalf)}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({keys, random_keys({1, 2, 6, 8})}, rotation).empty());
}

TEST_CASE("a rotary dimension wider than the head is refused", "[rope][rotate_keys][misuse]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  CHECK(complaint<shape_error>({random_keys({1, 1, 5, 6})}, rotation) ==
        "move: specification: expected a rotary window within head_dim=6, got default, rotary_dim 8 at 0, half_split, "
        "scaling 1");
  rope::rotation far = rotation;
  for (const std::int64_t offset : {std::numeric_limits<std::int64_t>::max() - 4, std::int64_t{1} << 62}) {
    far.to_specification.window_offset = offset;  // where a sum with the width wraps
    CHECK_THAT(complaint<shape_error>({random_keys({1, 1, 5, 8})}, far),
               StartsWith("move: specification: expected a rotary window within head_dim=8"));
  }
}

TEST_CASE("positions of another length are refused", "[rope][rotate_keys][misuse]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  const std::string said = complaint<shape_error>({keys}, some_rotation(random_positions({5}), random_positions({4})));
  CHECK(said.find("move: to: expected") == 0);
}

TEST_CASE("keys whose strides overlap are not rotated in place", "[rope][rotate_keys][misuse]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  CHECK_FALSE(complaint<shape_error>({keys.expand({3, 2, 5, 8})}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({random_keys({40}).as_strided({1, 1, 5, 8}, {40, 40, 4, 1})}, rotation).empty());
  CHECK_FALSE(complaint<shape_error>({keys, keys}, rotation).empty());
  const at::Tensor rows = random_keys({3, 2, 5, 8});
  CHECK_FALSE(complaint<shape_error>({rows.narrow(0, 0, 2), rows.narrow(0, 1, 2)}, rotation).empty());
  CHECK(complaint<shape_error>({rows.narrow(0, 0, 1), rows.narrow(0, 1, 1)}, rotation).empty());
  CHECK(complaint<shape_error>({rows.select(1, 0).unsqueeze(1), rows.select(1, 1).unsqueeze(1)}, rotation).empty());
}

TEST_CASE("keys that need a gradient are not rotated in place", "[rope][rotate_keys][misuse]") {
  const rope::rotation rotation{.delta = 5, .to_specification = plain_specification(8)};
  CHECK_FALSE(complaint<value_error>({random_keys({1, 2, 5, 8}).requires_grad_()}, rotation).empty());
}

TEST_CASE("the implementation can be asked for and is named", "[rope][rotate_keys]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8}, at::kDouble);
  CHECK(rope::implementation_used(keys) == rope::implementation::reference);
  CHECK_THROWS_AS(rope::implementation_used(keys, {.use = rope::implementation::fused}), device_error);
  CHECK_FALSE(complaint<device_error>({keys}, {.delta = 5, .to_specification = plain_specification(8)},
                                      {.use = rope::implementation::fused})
                  .empty());
}

}  // namespace kvtransfer::test
