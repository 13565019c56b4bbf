#include "kvtransfer/cache/edited.hpp"

#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

cache_frame frame_of_model() {
  cache_frame frame(2, {position_map::consecutive(0, 3), {known_specification()}});
  frame.set_token_ids({{4, 5, 6}});
  frame.set_origin(model_identity{"model a"});
  return frame;
}

std::vector<at::Tensor> keys_of(const cache_view<>& view) { return {view.layer(0).keys(), view.layer(1).keys()}; }
std::vector<at::Tensor> values_of(const cache_view<>& view) { return {view.layer(0).values(), view.layer(1).values()}; }

}  // namespace

TEST_CASE("tensors that a caller brings are of unknown origin, whatever their frame says", "[cache][edited]") {
  const known_cache known = known_cache_in(frame_of_model());
  const std::vector<at::Tensor> keys = keys_of(known.kv.view());
  const std::vector<at::Tensor> values = values_of(known.kv.view());
  const cache_frame frame = known.kv.view().frame();
  REQUIRE(frame.model().digest == "model a");
  CHECK(cache(keys, values, frame).view().frame().model().digest.empty());
  CHECK(cache_view<>(keys, values, frame).frame().model().digest.empty());
  CHECK(borrowed_cache<>(keys, values, frame).frame().model().digest.empty());
  CHECK(cache(keys, values, frame).view().frame().token_ids() == frame.token_ids());
  CHECK_FALSE(cache(keys, values, frame).view().frame().assumed());
}

TEST_CASE("whoever has just had a model write tensors says so", "[cache][edited]") {
  const known_cache known = known_cache_in(frame_of_model());
  const std::vector<at::Tensor> keys = keys_of(known.kv.view());
  const std::vector<at::Tensor> values = values_of(known.kv.view());
  const cache_frame frame = known.kv.view().frame();
  CHECK(cache(keys, values, frame, as_written).view().frame() == frame);
  CHECK(cache_view<>(keys, values, frame, as_written).frame() == frame);
  CHECK(borrowed_cache<>(keys, values, frame, as_written).frame() == frame);
}

TEST_CASE("what was computed from a cache keeps its origin and lists the edit", "[cache][edited]") {
  const known_cache known = known_cache_in(frame_of_model());
  std::vector<at::Tensor> values = values_of(known.kv.view());
  values[1] = values[1] * 2;
  const cache louder = edited(known.kv.view(), keys_of(known.kv.view()), values,
                              {edit_kind::other, cache_half::values, {1}, {}, {}, "a factor of 2"});
  const cache_frame frame = louder.view().frame();
  CHECK(frame.model().digest == "model a");
  CHECK(frame.token_ids() == known.kv.view().frame().token_ids());
  CHECK_FALSE(frame.assumed());
  REQUIRE(frame.edits().size() == 1);
  CHECK(describe(frame.edits().front()) == "other in values, layers 1, slots 0-2, from a factor of 2");
  CHECK_THROWS_AS(edited(known.kv.view(), {}, values, {}), shape_error);
}

TEST_CASE("a view that is relabelled is assumed", "[cache][edited]") {
  const known_cache known = known_cache_in(frame_of_model());
  const cache_frame elsewhere =
      known.kv.view().frame().transform([](const layer_frame& layer) { return layer.shifted(9); });
  const cache_view<> relabelled = known.kv.view().assume_frame(elsewhere);
  CHECK(relabelled.frame().assumed());
  CHECK(relabelled.frame().layer(0).next_position() == 12);
  CHECK(relabelled.layer(0).keys().data_ptr() == known.kv.view().layer(0).keys().data_ptr());
  CHECK(cache(relabelled).view().frame().assumed());
  CHECK(relabelled.slice(0, 2).frame().assumed());
}
