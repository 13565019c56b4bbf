#include "kvtransfer/rope/turn.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include "rope/complex_reference.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

rope::turning some_turning(const at::Tensor& from, const at::Tensor& to) {
  rope::turning turn{from, to, 0, plain_specification(8), plain_specification(8, 5e5)};
  turn.to_specification.attention_scaling = 1.5;
  return turn;
}

/// What `turn_` says about `keys` it refuses; empty if it takes them.
template <class Error>
std::string complaint(const std::vector<at::Tensor>& keys, const rope::turning& turn, const rope::options& how = {}) {
  try {
    rope::turn_(keys, turn, how, "move");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("one call turns every layer as the call for one layer does", "[rope][turn]") {
  const rope::turning turn = some_turning(random_positions({5}), random_positions({5}, 1 << 20, 2));
  std::vector<at::Tensor> layers = {random_keys({2, 3, 5, 12}), random_keys({2, 3, 5, 12}, at::kFloat, 8)};
  const std::vector<at::Tensor> turned = rope::turn(layers, turn);
  rope::turn_(layers, turn);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    CHECK(at::equal(layers[layer], turned[layer]));
  }
}

TEST_CASE("elements outside the rotary window keep their bits", "[rope][turn]") {
  rope::turning turn{.delta = 77, .to_specification = plain_specification(8)};
  turn.to_specification.window_offset = 4;
  const at::Tensor keys = random_keys({1, 2, 5, 16}, at::kHalf);
  const at::Tensor turned = rope::turn({keys}, turn).front();
  CHECK(at::equal(turned.narrow(-1, 0, 4), keys.narrow(-1, 0, 4)));
  CHECK(at::equal(turned.narrow(-1, 12, 4), keys.narrow(-1, 12, 4)));
  CHECK_FALSE(at::equal(turned, keys));
}

TEST_CASE("a turn of an expanded view reads it as the tensor it stands for", "[rope][turn]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 1, 5, 8}).expand({2, 3, 5, 8});
  CHECK(at::equal(rope::turn({keys}, turn).front(), rope::turn({keys.contiguous()}, turn).front()));
}

TEST_CASE("empty keys are turned to empty keys", "[rope][turn]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 0, 8});
  CHECK(rope::turn({keys}, turn).front().sizes() == keys.sizes());
  CHECK_NOTHROW(rope::turn_({keys, keys}, turn));
}

TEST_CASE("the gradient of a turn is turned back, times the gain", "[rope][turn][gradient]") {
  const rope::turning turn = some_turning(random_positions({5}), random_positions({5}, 1 << 20, 2));
  const rope::turning back{turn.to, turn.from, 0, turn.to_specification, turn.from_specification};
  const at::Tensor keys = random_keys({1, 2, 5, 12}, at::kDouble).requires_grad_();
  const at::Tensor upstream = random_keys({1, 2, 5, 12}, at::kDouble, 9);
  rope::turn({keys}, turn).front().backward(upstream);
  at::Tensor expected = rope::turn({upstream}, back).front();
  expected.narrow(-1, 0, 8).mul_(turn.gain() * turn.gain());
  CHECK(relative_error(keys.grad(), expected) < 1e-13);
}

TEST_CASE("the gradient of a turn agrees with finite differences", "[rope][turn][gradient]") {
  const rope::turning turn = some_turning(random_positions({3}), random_positions({3}, 1 << 20, 2));
  const at::Tensor keys = random_keys({1, 1, 3, 8}, at::kDouble).requires_grad_();
  const at::Tensor weights = random_keys({1, 1, 3, 8}, at::kDouble, 4);
  const auto loss = [&](const at::Tensor& x) { return (rope::turn({x}, turn).front() * weights).sum(); };
  loss(keys).backward();
  const at::NoGradGuard without_gradient;
  for (std::int64_t element = 0; element < 8; ++element) {
    at::Tensor nudged = keys.detach().clone();
    nudged[0][0][1][element] += 1e-3;
    const double slope = (loss(nudged) - loss(keys)).item<double>() / 1e-3;
    CHECK(slope == Approx(keys.grad()[0][0][1][element].item<double>()).margin(1e-9));
  }
}

TEST_CASE("keys whose norm came after RoPE move only with its weight", "[rope][turn][norm]") {
  rope::turning turn = some_turning(random_positions({4}), random_positions({4}, 1 << 20, 2));
  turn.from_specification.normed_after_rotation = true;
  turn.to_specification.normed_after_rotation = true;
  const at::Tensor weight = random_keys({12}, at::kDouble, 5).abs() + 0.5;
  const at::Tensor rotated = random_keys({1, 2, 4, 12}, at::kDouble);
  const at::Tensor cached = rotated * weight;
  CHECK(complaint<frame_error>({cached}, turn).find("does not commute") != std::string::npos);

  const at::Tensor moved = rope::turn({cached}, turn, {.norm_weight = weight}).front();
  rope::turning without_norm = turn;
  without_norm.from_specification.normed_after_rotation = false;
  without_norm.to_specification.normed_after_rotation = false;
  CHECK(relative_error(moved, rope::turn({rotated}, without_norm).front() * weight) < 1e-14);
  CHECK_FALSE(complaint<value_error>({cached}, without_norm, {.norm_weight = weight}).empty());

  at::Tensor zeroed = weight.clone();
  zeroed[3] = 0;
  CHECK_FALSE(complaint<value_error>({cached}, turn, {.norm_weight = zeroed}).empty());
  CHECK_FALSE(complaint<shape_error>({cached}, turn, {.norm_weight = weight.narrow(0, 0, 8)}).empty());
}

TEST_CASE("keys that cannot be turned are refused", "[rope][turn][misuse]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  CHECK(complaint<shape_error>({keys.to(at::kInt)}, turn) ==
        "move: keys: expected [batch, kv_heads, seq, head_dim], floating, got [1, 2, 5, 8] Int on cpu");
  CHECK_FALSE(complaint<shape_error>({keys.squeeze(0)}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({at::Tensor()}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({keys, keys.to(at::kHalf)}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({keys, random_keys({1, 2, 6, 8})}, turn).empty());
}

TEST_CASE("a rotary dimension wider than the head is refused", "[rope][turn][misuse]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  CHECK(complaint<shape_error>({random_keys({1, 1, 5, 6})}, turn) ==
        "move: specification: expected a rotary window within head_dim=6, got default, rotary_dim 8 at 0, half_split, "
        "scaling 1");
}

TEST_CASE("positions of another length are refused", "[rope][turn][misuse]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  const std::string said = complaint<shape_error>({keys}, some_turning(random_positions({5}), random_positions({4})));
  CHECK(said.find("move: to: expected") == 0);
}

TEST_CASE("keys whose strides overlap are not turned in place", "[rope][turn][misuse]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  const at::Tensor keys = random_keys({1, 2, 5, 8});
  CHECK_FALSE(complaint<shape_error>({keys.expand({3, 2, 5, 8})}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({random_keys({40}).as_strided({1, 1, 5, 8}, {40, 40, 4, 1})}, turn).empty());
  CHECK_FALSE(complaint<shape_error>({keys, keys}, turn).empty());
  const at::Tensor rows = random_keys({3, 2, 5, 8});
  CHECK_FALSE(complaint<shape_error>({rows.narrow(0, 0, 2), rows.narrow(0, 1, 2)}, turn).empty());
  CHECK(complaint<shape_error>({rows.narrow(0, 0, 1), rows.narrow(0, 1, 1)}, turn).empty());
  CHECK(complaint<shape_error>({rows.select(1, 0).unsqueeze(1), rows.select(1, 1).unsqueeze(1)}, turn).empty());
}

TEST_CASE("keys that need a gradient are not turned in place", "[rope][turn][misuse]") {
  const rope::turning turn{.delta = 5, .to_specification = plain_specification(8)};
  CHECK_FALSE(complaint<value_error>({random_keys({1, 2, 5, 8}).requires_grad_()}, turn).empty());
}

TEST_CASE("the implementation can be asked for and is named", "[rope][turn]") {
  const at::Tensor keys = random_keys({1, 2, 5, 8}, at::kDouble);
  CHECK(rope::implementation_used(keys) == rope::implementation::reference);
  CHECK_THROWS_AS(rope::implementation_used(keys, {.use = rope::implementation::fused}), device_error);
  CHECK_FALSE(complaint<device_error>({keys}, {.delta = 5, .to_specification = plain_specification(8)},
                                      {.use = rope::implementation::fused})
                  .empty());
}

}  // namespace kvtransfer::test
