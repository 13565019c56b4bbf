#include "kvtransfer/cache/detail/move_tensors.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "cache/tracked_cache.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/move_tensor.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Two rows of different length, the shorter one behind padding.
position_map ragged_rows() {
  position_row shorter;
  shorter.append({0, 3, 0, slot_state::padding()});
  shorter.append(position_row::consecutive(0, 4));
  return position_map(1, 2, 1, {position_row::consecutive(0, 7), shorter});
}

/// A specification that rotates another part of the head than `known_specification`.
rotary_specification elsewhere_in_the_head() {
  rotary_specification specification = plain_specification(known_head_dim / 2);
  specification.window_offset = known_head_dim / 2;
  return specification;
}

/// `gradient` taken back through keys: what autograd finds in leaf `keys[layer]` after `move` and a product with
/// `gradient`.
template <class Move>
std::vector<at::Tensor> gradients_through(const known_cache& known, const std::vector<at::Tensor>& gradients,
                                          Move&& move) {
  std::vector<at::Tensor> leaves;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < known.kv.layers(); ++i) {
    leaves.push_back(known.kv.view().layer(i).keys().clone().requires_grad_(true));
    values.push_back(known.kv.view().layer(i).values());
  }
  cache tracked(leaves, values, known.kv.view().frame());
  move(tracked);
  tracked.materialize();
  at::Tensor loss;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const at::Tensor term = (tracked.view().layer(static_cast<std::int64_t>(i)).keys() * gradients[i]).sum();
    loss = loss.defined() ? loss + term : term;
  }
  loss.backward();
  std::vector<at::Tensor> found;
  for (const at::Tensor& leaf : leaves) {
    found.push_back(leaf.grad());
  }
  return found;
}

}  // namespace

TEST_CASE("any sequence of moves on a float64 cache ends where complex numbers put its keys", "[cache][materialize]") {
  for (std::uint32_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    tracked_cache tracked(seed, at::kDouble);
    for (std::uint32_t move = 0; move < 1 + seed % 7; ++move) {
      tracked.move();
    }
    tracked.check(1e-9);
  }
}

TEST_CASE("any sequence of moves on a float32 cache ends there up to its rounding", "[cache][materialize]") {
  for (std::uint32_t seed = 1000; seed < 1100; ++seed) {
    CAPTURE(seed);
    tracked_cache tracked(seed, at::kFloat);
    for (std::uint32_t move = 0; move < 1 + seed % 7; ++move) {
      tracked.move();
    }
    tracked.check(1e-5);
  }
}

TEST_CASE("a thousand shifts of a bfloat16 cache are one shift to the bit", "[cache][materialize]") {
  known_cache known = known_cache_of(2, 9, 1, at::kBFloat16);
  const at::Tensor at_once = rope::shift(known.kv.view().layer(1).keys(), 1000, known_specification());
  for (int i = 0; i < 1000; ++i) {
    known.kv.shift(1);
  }
  known.kv.materialize();
  CHECK(at::equal(known.kv.view().layer(1).keys(), at_once));
}

TEST_CASE("moves that cancel change no bit of a key", "[cache][materialize]") {
  known_cache known = known_cache_of(1, 6, 1, at::kBFloat16);
  const at::Tensor before = known.kv.view().layer(0).keys().clone();
  known.kv.shift(17);
  known.kv.unrotate();
  known.kv.shift(-17);
  known.kv.rotate({known_specification()});
  CHECK(known.kv.materialized());
  known.kv.materialize();
  CHECK(at::equal(known.kv.view().layer(0).keys(), before));
}

TEST_CASE("attention scaling is in a key once, whatever the number of moves", "[cache][materialize]") {
  known_cache known = known_cache_in(cache_frame(1, {position_map::consecutive(0, 5), {known_specification(1.07)}}));
  for (int i = 0; i < 10; ++i) {
    known.kv.shift(3);
    known.kv.materialize();
  }
  CHECK(distance_from_written(known) < 1e-10);

  known.kv.unrotate();
  known.kv.materialize();
  CHECK(max_difference(known.kv.view().layer(0).keys(), known.plain.front()) < 1e-10);
}

TEST_CASE("rows of unequal length move together", "[cache][materialize]") {
  known_cache known = known_cache_in(cache_frame(2, {ragged_rows(), {known_specification()}}));
  known.kv.shift(41);
  known.kv.materialize();
  CHECK(known.kv.view().layer(0).frame().positions == ragged_rows().shifted(41));
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("padding may hold anything, and keys beside it stay finite", "[cache][materialize]") {
  known_cache known = known_cache_in(cache_frame(1, {ragged_rows(), {known_specification()}}));
  known.kv.view().layer(0).keys()[1].slice(1, 0, 3).fill_(std::numeric_limits<double>::quiet_NaN());
  known.kv.shift(5);
  known.kv.remap(position_map(
      1, 2, 1, {position_row::listed({4, 1, 1, 9, 0, 30, 2}), position_row::listed({0, 0, 0, 8, 8, 9, 3})}));
  known.kv.materialize();
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("heads move apart where each has positions of its own", "[cache][materialize]") {
  known_cache known = known_cache_of(2, 3);
  known.kv.remap(position_map(1, 1, 2, {position_row::listed({0, 1, 2}), position_row::listed({7, 9, 11})}));
  known.kv.materialize();
  CHECK(known.kv.view().layer(1).frame().positions.heads() == 2);
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("keys of several specifications in one layer each lose their own scaling and frequencies",
          "[cache][materialize]") {
  position_row row = position_row::consecutive(0, 4);
  row.append(position_row::consecutive(4, 3, slot_state::rotated(1)));
  row.append(position_row::consecutive(7, 2));
  known_cache known =
      known_cache_in(cache_frame(2, {position_map(row), {known_specification(1.2), known_specification(0.9, 5e5)}}));
  REQUIRE(distance_from_written(known) < 1e-12);
  known.kv.shift(11);
  known.kv.reframe({known_specification(1.1, 2e4), known_specification(1.1, 2e4)});
  known.kv.materialize();
  CHECK(known.kv.view().layer(0).frame().specifications.size() == 1);
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("streams of positions may move by different amounts", "[cache][materialize]") {
  rotary_specification specification = known_specification();
  specification.stream_of = {0, 1, 2, 1};
  const position_map grid(
      3, 1, 1,
      {position_row::listed({0, 1, 1, 1}), position_row::listed({0, 1, 1, 2}), position_row::listed({0, 1, 2, 1})});
  known_cache known = known_cache_in(cache_frame(1, {grid, {specification}}));

  known.kv.shift(9);
  known.kv.materialize();
  CHECK(distance_from_written(known) < 1e-10);

  known.kv.remap(position_map(
      3, 1, 1,
      {position_row::listed({3, 4, 4, 4}), position_row::listed({0, 9, 9, 8}), position_row::listed({0, 1, 2, 3})}));
  known.kv.materialize();
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("a layer without RoPE keeps its bits", "[cache][materialize]") {
  const position_map positions = position_map::consecutive(0, 4);
  const auto layer = [&](rotary_specification specification) {
    return std::make_shared<const layer_frame>(layer_frame{positions, {std::move(specification)}});
  };
  known_cache known = known_cache_in(cache_frame({layer(known_specification()), layer(rotary_specification{})}));
  const at::Tensor before = known.kv.view().layer(1).keys().clone();
  known.kv.shift(6);
  known.kv.materialize();
  CHECK(at::equal(known.kv.view().layer(1).keys(), before));
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("layers of different types, sizes and frames move in one call", "[cache][materialize]") {
  const auto local =
      std::make_shared<const layer_frame>(layer_frame{position_map::consecutive(2, 3), {known_specification()}});
  const auto global = std::make_shared<const layer_frame>(
      layer_frame{position_map::consecutive(0, 5), {known_specification(1.0, 1e6)}});
  const cache_frame frame({local, global, local, global});
  std::vector<at::Tensor> plain;
  std::vector<at::Tensor> keys;
  for (std::int64_t i = 0; i < 4; ++i) {
    plain.push_back(
        random_keys({1, 2, frame.layer(i).size(), known_head_dim}, at::kDouble, static_cast<std::uint64_t>(i)));
    keys.push_back(
        reference_written(plain.back(), reference_keys(frame.layer(i), 2)).to(i == 2 ? at::kFloat : at::kDouble));
  }
  const cache_frame wanted = frame.transform([](const layer_frame& layer) { return layer.shifted(12); });
  detail::move_keys(keys, frame, wanted);
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto layer = static_cast<std::size_t>(i);
    CHECK(distance_from_written(keys[layer], plain[layer], wanted.layer(i)) < (i == 2 ? 1e-5 : 1e-10));
  }
}

TEST_CASE("spare slots are left alone", "[cache][materialize]") {
  known_cache known = known_cache_of(1, 4, 2, at::kDouble, 3);
  const at::Tensor whole = known.kv.view().layer(0).keys().as_strided({2, 2, 7, known_head_dim}, {112, 56, 8, 1});
  const at::Tensor spare = whole.slice(2, 4).clone();
  known.kv.shift(2);
  known.kv.materialize();
  CHECK(at::equal(whole.slice(2, 4), spare));
  CHECK(distance_from_written(known) < 1e-10);
}

TEST_CASE("model-faithful angles put a key where the model's own table does", "[cache][materialize]") {
  const rotary_specification specification = known_specification(1.05);
  const at::Tensor plain = random_keys({1, 2, 5, known_head_dim}, at::kDouble);
  const auto written_at = [&](std::int64_t first) {
    const rope::cos_sin table =
        rope::cos_sin_table(specification, position_tensor(position_map::consecutive(first, 5)), at::kDouble);
    return rope::apply_rotary(plain, table.cos, table.sin, specification);
  };
  cache kv({written_at(70000)}, {plain}, cache_frame(1, {position_map::consecutive(70000, 5), {specification}}));
  kv.shift(50000);
  kv.materialize({.angles = rope::angle_mode::model_faithful});
  CHECK(max_difference(kv.view().layer(0).keys(), written_at(120000)) < 1e-12);
  CHECK(max_difference(rope::shift(written_at(70000), 50000, specification), written_at(120000)) > 1e-4);
}

TEST_CASE("keys that autograd tracks are replaced, and the caller's tensors keep their values",
          "[cache][materialize]") {
  const known_cache known = known_cache_of(1, 4);
  const at::Tensor leaf = known.kv.view().layer(0).keys().clone().requires_grad_(true);
  const at::Tensor before = leaf.detach().clone();
  cache tracked({leaf}, {known.kv.view().layer(0).values()}, known.kv.view().frame());
  tracked.shift(8);
  tracked.materialize();
  CHECK(tracked.view().layer(0).keys().requires_grad());
  CHECK(at::equal(leaf.detach(), before));
}

TEST_CASE("a leaf that wants a gradient is not written to where gradients are off either", "[cache][materialize]") {
  const at::Tensor leaf = random_keys({1, 2, 3, known_head_dim}, at::kDouble).requires_grad_(true);
  const at::Tensor before = leaf.detach().clone();
  cache kv({leaf}, {leaf.detach().clone()}, known_cache_of(1, 3).kv.view().frame());
  kv.shift(4);
  at::NoGradGuard no_grad;
  kv.materialize();
  CHECK(at::equal(leaf.detach(), before));
  CHECK_FALSE(at::equal(kv.view().layer(0).keys(), before));
}

TEST_CASE("the gradient of a shift rotates back by the same angle", "[cache][materialize]") {
  const known_cache known = known_cache_of(2, 5);
  const std::vector<at::Tensor> gradients = {random_keys({1, 2, 5, known_head_dim}, at::kDouble, 50),
                                             random_keys({1, 2, 5, known_head_dim}, at::kDouble, 51)};
  const auto found = gradients_through(known, gradients, [](cache& kv) { kv.shift(21); });
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(max_difference(found[i], rope::shift(gradients[i], -21, known_specification())) < 1e-12);
  }
}

TEST_CASE("the gradient of moves row by row rotates back too, times each row's gain", "[cache][materialize]") {
  position_row late = position_row::consecutive(0, 2);
  late.append(position_row::consecutive(2, 3, slot_state::rotated(1)));
  position_row early = position_row::consecutive(0, 4);
  early.append(position_row::consecutive(4, 1, slot_state::rotated(1)));
  const std::vector<rotary_specification> specifications = {known_specification(1.25), known_specification(0.8, 3e4)};
  const layer_frame written{position_map(1, 2, 1, {late, early}), specifications};
  const known_cache known = known_cache_in(cache_frame(1, written));
  const at::Tensor gradient = random_keys({2, 2, 5, known_head_dim}, at::kDouble, 50);
  const auto found = gradients_through(known, {gradient}, [](cache& kv) { kv.unrotate(); });

  // Un-rotating multiplies by R⁻¹/s, so its transpose multiplies by R/s: written with 1/s in the place of s.
  layer_frame transposed = written;
  for (rotary_specification& specification : transposed.specifications) {
    specification.attention_scaling = 1 / specification.attention_scaling;
  }
  CHECK(max_difference(found.front(), reference_written(gradient, reference_keys(transposed, 2))) < 1e-12);
}

TEST_CASE("a move that cannot be made in one layer is made in none", "[cache][materialize]") {
  known_cache known = known_cache_of(2, 4);
  const at::Tensor before = known.kv.view().layer(0).keys().clone();
  const at::Tensor first = known.kv.view().layer(0).keys();
  known.kv.reframe({known_specification(1.1), elsewhere_in_the_head()});
  CHECK_THROWS_AS(known.kv.materialize(), frame_error);
  CHECK(at::equal(first, before));
  CHECK_FALSE(known.kv.materialized());

  known.kv.reframe({known_specification(), known_specification()});
  CHECK(known.kv.materialized());
  CHECK(distance_from_written(known) < 1e-12);
}

TEST_CASE("a specification wider than the heads is refused, by name", "[cache][materialize]") {
  known_cache known = known_cache_of(1, 4);
  known.kv.unrotate();
  known.kv.materialize();
  known.kv.rotate({plain_specification(2 * known_head_dim)});
  CHECK_THAT(message_of<shape_error>([&] { known.kv.materialize(); }),
             StartsWith("materialize: specification: expected a rotary window within head_dim=8"));
}

TEST_CASE("one norm weight does not serve several layers", "[cache][materialize]") {
  known_cache known = known_cache_of(2, 3);
  known.kv.shift(1);
  rope::options options;
  options.norm_weight = random_keys({known_head_dim});
  CHECK_THROWS_AS(known.kv.materialize(options), value_error);
}

TEST_CASE("frames of different sizes are refused", "[cache][materialize]") {
  std::vector<at::Tensor> keys = {random_keys({1, 2, 4, known_head_dim})};
  const cache_frame four(1, {position_map::consecutive(0, 4), {known_specification()}});
  CHECK_THROWS_AS(detail::move_keys(keys, four, four.slice(0, 3)), shape_error);
  CHECK_THROWS_AS(detail::move_keys(keys, cache_frame(2, four.layer(0)), cache_frame(2, four.layer(0))), shape_error);
}

TEST_CASE("on a GPU keys move as on the host", "[cache][materialize][cuda]") {
  if (!cuda_available()) {
    return;
  }
  known_cache known = known_cache_in(cache_frame(2, {ragged_rows(), {known_specification(1.1)}}), 2, at::kFloat);
  const cache_view<> host = known.kv.view();
  cache device({host.layer(0).keys().to(at::kCUDA), host.layer(1).keys().to(at::kCUDA)},
               {host.layer(0).values().to(at::kCUDA), host.layer(1).values().to(at::kCUDA)}, host.frame());
  const position_map elsewhere(1, 2, 1,
                               {position_row::listed({4, 1, 1, 9, 0, 30, 2}), position_row::consecutive(90, 7)});
  for (cache* kv : {&known.kv, &device}) {
    kv->shift(1000);
    kv->materialize();
    kv->remap(elsewhere);
    kv->materialize();
  }
  const at::Tensor held = validity_tensor(ragged_rows()).unsqueeze(-1);
  CHECK(max_difference(at::where(held, known.kv.view().layer(1).keys(), 0),
                       at::where(held, device.view().layer(1).keys().cpu(), 0)) < 1e-5);
}
