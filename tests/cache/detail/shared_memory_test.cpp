#include "kvtransfer/cache/detail/shared_memory.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

cache_frame frames_of(std::vector<layer_frame> layers) {
  std::vector<cache_frame::shared_layer> shared;
  for (layer_frame& layer : layers) {
    shared.push_back(std::make_shared<const layer_frame>(std::move(layer)));
  }
  return cache_frame(std::move(shared));
}

layer_frame at_position(std::int64_t first, double theta = 1e4) {
  return {position_map::consecutive(first, 4), {known_specification(1.0, theta)}};
}

}  // namespace

TEST_CASE("storages share a slot only where both name its place", "[cache][shared_memory]") {
  const at::Tensor pool = at::zeros({6, 2, 4, 8});
  const auto in_blocks = [&](const at::Tensor& blocks, std::vector<layouts::slot_span> spans) {
    return layouts::storage{blocks, layouts::slot_table(1, 6, std::move(spans))};
  };
  const layouts::storage first = in_blocks(pool, {{0, 0, 2, 0, 4}, {0, 4, 5, 0, 2}});
  CHECK(share_slots(first, first));
  CHECK(share_slots(first, in_blocks(pool, {{0, 0, 1, 0, 4}, {0, 4, 5, 1, 2}})));
  CHECK_FALSE(share_slots(first, in_blocks(pool, {{0, 0, 1, 0, 4}, {0, 4, 5, 2, 2}})));
  CHECK_FALSE(share_slots(first, in_blocks(pool.clone(), {{0, 0, 2, 0, 4}, {0, 4, 5, 0, 2}})));
  CHECK(share_slots(first, {pool, std::nullopt}));
  CHECK(share_slots(first, {pool.narrow(0, 1, 1), std::nullopt}));  // of another shape, which is not looked into
  CHECK_FALSE(share_slots({pool.narrow(1, 0, 1), std::nullopt}, {pool.narrow(1, 1, 1), std::nullopt}));
}

TEST_CASE("layers that share keys and values are moved once", "[cache][shared_memory]") {
  const known_cache known = known_cache_of(1, 4);
  const at::Tensor keys = known.kv.view().layer(0).keys().clone();
  const at::Tensor values = known.kv.view().layer(0).values();
  const cache_frame frame(3, known.kv.stored().layer(0));
  cache kv({keys, keys, keys}, {values, values, values}, frame);
  kv.shift(9);
  kv.materialize();
  CHECK(distance_from_written(kv.view().layer(2).keys(), known.plain[0], kv.view().frame().layer(2)) < 1e-12);
  borrowed_cache borrowed({keys, keys, keys}, {values, values, values}, kv.stored());
  borrowed.shift(-4);
  CHECK(distance_from_written(keys, known.plain[0], borrowed.frame().layer(0)) < 1e-12);
}

TEST_CASE("shared keys that autograd tracks are replaced by one tensor", "[cache][shared_memory]") {
  const known_cache known = known_cache_of(1, 4);
  const at::Tensor keys = known.kv.view().layer(0).keys().clone().requires_grad_();
  const at::Tensor values = known.kv.view().layer(0).values();
  cache kv({keys, keys}, {values, values}, cache_frame(2, known.kv.stored().layer(0)));
  kv.shift(9);
  kv.materialize();
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    CHECK(distance_from_written(kv.view().layer(layer).keys(), known.plain[0], kv.view().frame().layer(layer)) < 1e-12);
  }
}

TEST_CASE("one tensor under two rotary specifications is refused, and nothing moves", "[cache][shared_memory]") {
  const known_cache known = known_cache_of(1, 4);
  const at::Tensor keys = known.kv.view().layer(0).keys().clone();
  const at::Tensor before = keys.clone();
  const at::Tensor values = known.kv.view().layer(0).values();
  cache kv({keys, keys}, {values, values}, frames_of({at_position(0), at_position(0, 1e6)}));
  kv.shift(9);
  CHECK_THAT(message_of<frame_error>([&] { kv.materialize(); }),
             contains("one frame for layers whose keys are one memory"));
  CHECK(at::equal(keys, before));
  borrowed_cache borrowed({keys, keys}, {values, values}, frames_of({at_position(0), at_position(1)}));
  CHECK_THROWS_AS(borrowed.shift(9), frame_error);
  CHECK(at::equal(keys, before));
}

TEST_CASE("keys are not moved where values lie in the same memory", "[cache][shared_memory]") {
  const at::Tensor both = random_keys({1, 2, 4, known_head_dim}, at::kDouble);
  const at::Tensor before = both.clone();
  cache kv({both}, {both}, cache_frame(1, at_position(0)));
  kv.shift(3);
  CHECK_THAT(message_of<frame_error>([&] { kv.materialize(); }), contains("values of layer 0 in the same memory"));
  CHECK_THROWS_AS(borrowed_cache({both}, {both}, cache_frame(1, at_position(0))).shift(3), frame_error);
  CHECK(at::equal(both, before));
}

TEST_CASE("keys and values side by side in one tensor are moved apart", "[cache][shared_memory]") {
  const known_cache known = known_cache_of(1, 4);
  const at::Tensor packed = at::zeros({1, 2, 4, 2 * known_head_dim}, at::kDouble);
  const at::Tensor keys = packed.narrow(3, 0, known_head_dim);
  const at::Tensor values = packed.narrow(3, known_head_dim, known_head_dim);
  keys.copy_(known.kv.view().layer(0).keys());
  borrowed_cache borrowed({keys}, {values}, known.kv.stored());
  borrowed.shift(3);
  CHECK(distance_from_written(keys, known.plain[0], borrowed.frame().layer(0)) < 1e-12);
  CHECK(values.abs().sum().item<double>() == 0);
}

TEST_CASE("layers that overlap without being one are refused, and nothing moves", "[cache][shared_memory]") {
  const at::Tensor all = random_keys({1, 2, 6, known_head_dim}, at::kDouble);
  const at::Tensor before = all.clone();
  const at::Tensor values = random_keys({1, 2, 4, known_head_dim}, at::kDouble);
  const std::vector<at::Tensor> keys{all.narrow(2, 0, 4), all.narrow(2, 2, 4)};
  borrowed_cache alike(keys, {values, values}, cache_frame(2, at_position(0)));
  CHECK_THROWS_AS(alike.shift(1), error);
  borrowed_cache unlike(keys, {values, values}, frames_of({at_position(0), at_position(0, 1e6)}));
  CHECK_THROWS_AS(unlike.shift(1), error);
  CHECK(at::equal(all, before));
}
