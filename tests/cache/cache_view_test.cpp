#include "kvtransfer/cache/cache_view.hpp"

#include <ATen/ops/equal.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a view of a cache shows every layer", "[cache][cache_view]") {
  const known_cache known = known_cache_of(3, 5, 2);
  const cache_view<> view = known.kv.view();
  CHECK(view.layers() == 3);
  CHECK(view.size() == 5);
  CHECK(view.batch() == 2);
  CHECK(view.layer(2).extents() == cache_extents{2, 2, 5, known_head_dim});
  CHECK_THROWS_AS(view.layer(3), shape_error);
  CHECK_THROWS_AS(view.layer(-1), shape_error);
}

TEST_CASE("a slice shows part of the same storage, with the frame of its slots", "[cache][cache_view]") {
  const known_cache known = known_cache_of(2, 6);
  const cache_view<> whole = known.kv.view();
  const cache_view<> part = whole.slice(2, 5);
  CHECK(part.size() == 3);
  CHECK(part.frame() == whole.frame().slice(2, 5));
  CHECK(part.layer(1).keys().data_ptr() == whole.layer(1).keys().slice(2, 2).data_ptr());
  CHECK(at::equal(part.layer(1).values(), whole.layer(1).values().slice(2, 2, 5)));
  CHECK_THROWS_AS(part.slice(1, 4), shape_error);
}

TEST_CASE("a slice keeps its layout", "[cache][cache_view]") {
  const std::vector<at::Tensor> tensors = {random_keys({1, 5, 2, known_head_dim})};
  const cache_view<layouts::batch_seq_heads_dim> whole(
      tensors, tensors, cache_frame(1, {position_map::consecutive(0, 5), {known_specification()}}));
  const auto part = whole.slice(1, 4);
  CHECK(part.layer(0).extents() == cache_extents{1, 2, 3, known_head_dim});
  CHECK(at::equal(part.layer(0).keys(), tensors[0].slice(1, 1, 4).transpose(1, 2)));
  part.layer(0).keys()[0][0][0][0].fill_(42);
  CHECK(tensors[0][0][1][0][0].item<float>() == 42);
}

TEST_CASE("tensors of another number of layers than the frame are refused", "[cache][cache_view]") {
  const std::vector<at::Tensor> one = {random_keys({1, 2, 3, known_head_dim})};
  const cache_frame two_layers(2, {position_map::consecutive(0, 3), {known_specification()}});
  CHECK_THROWS_AS(cache_view<>(one, one, two_layers), shape_error);
  CHECK_THROWS_AS(cache_view<>({one[0], one[0]}, one, two_layers), shape_error);
}

TEST_CASE("layers of unequal length are fine, and the longest counts", "[cache][cache_view]") {
  const auto frame = [](std::int64_t first, std::int64_t count) {
    return std::make_shared<const layer_frame>(
        layer_frame{position_map::consecutive(first, count), {known_specification()}});
  };
  const known_cache known = known_cache_in(cache_frame({frame(3, 2), frame(0, 5)}));
  CHECK(known.kv.view().size() == 5);
  CHECK(known.kv.view().frame().next_position() == 5);
}

TEST_CASE("a view of nothing has no rows", "[cache][cache_view]") {
  const cache_view<> nothing({}, {}, cache_frame());
  CHECK(nothing.layers() == 0);
  CHECK(nothing.batch() == 0);
  CHECK(nothing.size() == 0);
}
