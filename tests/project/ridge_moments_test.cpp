#include "kvtransfer/project/ridge_moments.hpp"

#include <ATen/ops/allclose.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/cache/slice.hpp"
#include "kvtransfer/project/layer_alignment.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

constexpr head_shape source_shape{2, 4};
constexpr head_shape receiver_shape{4, 2};

safetensors_file fixture() {
  return safetensors_file::open(KVT_SOURCE_DIR "/tests/project/fixtures/ridge.safetensors");
}

cache_frame plain_frame(std::int64_t layers, std::int64_t head_dim, std::int64_t batch, std::int64_t seq) {
  return cache_frame(layers, {position_map::consecutive(0, seq, batch), {plain_specification(head_dim)}});
}

/// The fixture's keys, as keys and as values.
cache source_cache() {
  const std::vector<at::Tensor> tensors{fixture().tensor("source.0").clone(), fixture().tensor("source.1").clone()};
  return cache(tensors, {tensors[0].clone(), tensors[1].clone()}, plain_frame(2, 4, 2, 30));
}

cache receiver_cache() {
  const at::Tensor target = fixture().tensor("target");
  return cache({target.clone()}, {target.clone()}, plain_frame(1, 2, 2, 30));
}

ridge_moments empty_moments() { return {key_rotation::rotated, source_shape, receiver_shape, {{0, 1}}}; }

ridge_moments all_moments() {
  const cache source = source_cache();
  const cache receiver = receiver_cache();
  ridge_moments moments = empty_moments();
  moments.add(source.view(), receiver.view());
  return moments;
}

/// The largest difference from numpy's solution, of keys and values.
double distance_from_numpy(const projectors::linear& found, const std::string& expected) {
  const linear_layer& layer = found.maps().front();
  double worst = 0;
  for (const linear_map* map : {&layer.keys, &layer.values}) {
    REQUIRE(map->weight.sizes() == fixture().tensor(expected + ".weight").sizes());
    worst = std::max({worst, max_difference(map->weight, fixture().tensor(expected + ".weight")),
                      max_difference(map->bias, fixture().tensor(expected + ".bias"))});
  }
  return worst;
}

}  // namespace

TEST_CASE("ridge equals numpy's solution, for any penalty, layers and heads from one pass over the data",
          "[project][ridge]") {
  const ridge_moments moments = all_moments();
  CHECK(moments.tokens() == 60);
  CHECK(distance_from_numpy(moments.fit({0.5, 1, false}, at::kDouble), "one_layer") < 1e-9);
  CHECK(distance_from_numpy(moments.fit({30.0, 2, false}, at::kDouble), "two_layers") < 1e-9);
  CHECK(distance_from_numpy(moments.fit({2.0, 0, true}, at::kDouble), "by_head") < 1e-9);
  CHECK(distance_from_numpy(moments.fit({30.0, 2, false}), "two_layers") < 1e-5);
  CHECK(distance_from_numpy(moments.fit({30.1, 2, false}, at::kDouble), "two_layers") > 1e-5);
}

TEST_CASE("ridge reads the slots before a token too, as numpy does, and may be refitted for fewer",
          "[project][ridge]") {
  const cache source = source_cache();
  const cache receiver = receiver_cache();
  ridge_moments moments(key_rotation::rotated, source_shape, receiver_shape, {{0, 1}}, 3);
  moments.add(source.view(), receiver.view());
  const projectors::linear three = moments.fit({.lambda = 4.0}, at::kDouble);
  CHECK(distance_from_numpy(three, "three_slots") < 1e-9);
  CHECK(three.maps().front().source_slots == 3);
  CHECK(distance_from_numpy(moments.fit({.lambda = 2.0, .by_head = true, .source_slots = 2}, at::kDouble),
                            "two_slots_by_head") < 1e-9);
  CHECK(distance_from_numpy(moments.fit({.lambda = 30.0, .source_slots = 1}, at::kDouble), "two_layers") < 1e-9);
  CHECK_THAT(message_of<value_error>([&] { static_cast<void>(moments.fit({.source_slots = 4})); }),
             contains("source_slots: expected at most the 3 gathered, got 4"));
}

TEST_CASE("layers that are made of the same layers in another order get each its own", "[project][ridge]") {
  const cache source = source_cache();
  const at::Tensor target = fixture().tensor("target");
  const cache receiver({target.clone(), target.mul(2), target.clone()}, {target.clone(), target.mul(2), target.clone()},
                       plain_frame(3, 2, 2, 30));
  ridge_moments moments(key_rotation::rotated, source_shape, receiver_shape, {{0, 1}, {1, 0}, {0}});
  moments.add(source.view(), receiver.view());
  const projectors::linear found = moments.fit({.lambda = 30.0}, at::kDouble);
  CHECK(distance_from_numpy(found, "two_layers") < 1e-9);
  CHECK(found.maps()[1].source_layers == std::vector<std::int64_t>{1, 0});
  const at::Tensor first = found.maps()[0].keys.weight;
  const at::Tensor second = found.maps()[1].keys.weight;
  CHECK(max_difference(second.narrow(1, 0, 8), first.narrow(1, 8, 8).mul(2)) < 1e-9);
  CHECK(max_difference(second.narrow(1, 8, 8), first.narrow(1, 0, 8).mul(2)) < 1e-9);
  CHECK(found.maps()[2].keys.weight.size(1) == 8);
}

TEST_CASE("moments may come in chunks of any order, and from several gatherers", "[project][ridge]") {
  const cache source = source_cache();
  const cache receiver = receiver_cache();
  const auto gathered = [&](const std::vector<std::pair<std::int64_t, std::int64_t>>& chunks) {
    ridge_moments moments = empty_moments();
    for (const auto& [begin, end] : chunks) {
      moments.add(source.view().slice(begin, end), receiver.view().slice(begin, end));
    }
    return moments;
  };
  ridge_moments merged = gathered({{17, 30}});
  merged.merge(gathered({{0, 5}}));
  merged.merge(empty_moments());
  merged.merge(gathered({{5, 17}}));
  CHECK(merged.tokens() == 60);
  CHECK(distance_from_numpy(gathered({{0, 5}, {5, 17}, {17, 30}}).fit({30.0}, at::kDouble), "two_layers") < 1e-9);
  CHECK(distance_from_numpy(gathered({{17, 30}, {0, 5}, {5, 17}}).fit({30.0}, at::kDouble), "two_layers") < 1e-9);
  CHECK(distance_from_numpy(merged.fit({30.0}, at::kDouble), "two_layers") < 1e-9);
}

TEST_CASE("what padding holds does not reach the moments", "[project][ridge]") {
  position_row behind_padding = position_row::consecutive(0, 3, slot_state::padding());
  behind_padding.append(position_row::consecutive(0, 30));
  const auto padded = [&](const cache& whole, std::int64_t head_dim) {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t i = 0; i < whole.layers(); ++i) {
      const at::Tensor own = whole.view().layer(i).keys();
      at::Tensor longer = own.new_full({own.size(0), own.size(1), 33, own.size(3)}, 1e30);
      longer.slice(2, 3).copy_(own);
      keys.push_back(longer);
      values.push_back(longer.clone());
    }
    return cache(std::move(keys), std::move(values),
                 cache_frame(whole.layers(), {position_map(behind_padding, 2), {plain_specification(head_dim)}}));
  };
  const cache source = padded(source_cache(), 4);
  const cache receiver = padded(receiver_cache(), 2);
  ridge_moments moments = empty_moments();
  moments.add(source.view(), receiver.view());
  CHECK(moments.tokens() == 60);
  CHECK(distance_from_numpy(moments.fit({30.0}, at::kDouble), "two_layers") < 1e-9);
}

TEST_CASE("moments of un-rotated keys do not depend on where either cache stands", "[project][ridge]") {
  const auto fitted = [](std::int64_t source_first, std::int64_t receiver_first) {
    cache source = source_cache();
    cache receiver = receiver_cache();
    source.shift(source_first);
    receiver.shift(receiver_first);
    ridge_moments moments(key_rotation::unrotated, source_shape, receiver_shape, {{0, 1}});
    moments.add(source.view(), receiver.view());
    return moments.fit({1.0}, at::kDouble);
  };
  const linear_layer here = fitted(0, 0).maps().front();
  const linear_layer there = fitted(1000, 7).maps().front();
  CHECK(max_difference(here.keys.weight, there.keys.weight) < 1e-6);
  const linear_layer rotated = all_moments().fit({1.0}, at::kDouble).maps().front();
  CHECK(max_difference(here.keys.weight, rotated.keys.weight) > 1e-3);
  CHECK(max_difference(here.values.weight, rotated.values.weight) < 1e-9);
}

TEST_CASE("moments refuse what does not fit, by name", "[project][ridge]") {
  const cache source = source_cache();
  const cache receiver = receiver_cache();
  ridge_moments moments = empty_moments();
  CHECK(message_of<value_error>([&] { static_cast<void>(moments.fit({})); }) ==
        "ridge_moments::fit: keys of layer 0: expected moments of at least one token, got none");
  CHECK(message_of<shape_error>([&] { moments.add(receiver.view(), receiver.view()); }) ==
        "ridge_moments::add: source layer 0: keys: expected [batch, 2, seq, 4] (kv_heads=2, head_dim=4), got "
        "[2, 4, 30, 2] Double on cpu");
  CHECK_THAT(message_of<shape_error>([&] { moments.add(source.view(), source.view()); }),
             StartsWith("ridge_moments::add: receiver: expected a cache of 1 layers, got 2"));
  CHECK_THAT(message_of<shape_error>([&] { moments.add(source.view().slice(0, 29), receiver.view()); }),
             StartsWith("project: source layer 0: expected [batch=2, seq=30]"));
  cache elsewhere = source_cache();
  elsewhere.shift(1);
  CHECK_THAT(message_of<frame_error>([&] { moments.add(elsewhere.view(), receiver.view()); }),
             contains("got keys at other positions"));
  const ridge_moments whole = all_moments();
  CHECK_THAT(message_of<value_error>([&] { static_cast<void>(whole.fit({-1.0})); }),
             contains("lambda: expected 0 or more"));
  CHECK_THAT(message_of<value_error>([&] { static_cast<void>(whole.fit({1.0, 3})); }),
             contains("source_layers: expected at most the 2 gathered for layer 0, got 3"));
  ridge_moments few = empty_moments();
  few.add(source.view().slice(0, 2), receiver.view().slice(0, 2));
  CHECK_THAT(message_of<value_error>([&] { static_cast<void>(few.fit({0.0})); }),
             contains("a lambda that makes the moments solvable, got 0 (of 4 tokens)"));
  ridge_moments other(key_rotation::unrotated, source_shape, receiver_shape, {{0, 1}});
  CHECK_THAT(message_of<shape_error>([&] { other.merge(whole); }), contains("ridge_moments::merge: other"));
}
