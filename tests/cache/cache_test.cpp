#include "kvtransfer/cache/cache.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Four tokens, the last two of which were never rotated.
known_cache half_rotated() {
  position_row row = position_row::consecutive(0, 2);
  row.append(position_row::consecutive(2, 2, slot_state::unrotated()));
  return known_cache_in(cache_frame(1, {position_map(row), {known_specification()}}));
}

cache_frame four_tokens(std::int64_t layers = 1, std::int64_t batch = 1) {
  return cache_frame(layers, {position_map::consecutive(0, 4, batch), {known_specification()}});
}

}  // namespace

TEST_CASE("a cache takes over tensors that fit its frame, spare capacity included", "[cache]") {
  const at::Tensor keys = random_keys({1, 2, 6, known_head_dim});
  const cache kv({keys}, {keys.clone()}, four_tokens());
  CHECK(kv.layers() == 1);
  CHECK(kv.length() == 4);
  CHECK(kv.capacity() == 6);
  CHECK(kv.view().layer(0).keys().data_ptr() == keys.data_ptr());
  CHECK(kv.view().layer(0).size() == 4);
  CHECK_THROWS_AS(kv.length(1), shape_error);
  CHECK_THROWS_AS(kv.capacity(1), shape_error);
}

TEST_CASE("a cache refuses tensors that do not fit its frame", "[cache]") {
  const at::Tensor four = random_keys({1, 2, 4, known_head_dim});
  const at::Tensor three = random_keys({1, 2, 3, known_head_dim});
  CHECK_THROWS_AS(cache({three}, {three}, four_tokens()), shape_error);
  CHECK_THROWS_AS(cache({four}, {three}, four_tokens()), shape_error);
  CHECK_THROWS_AS(cache({four}, {}, four_tokens()), shape_error);
  CHECK_THROWS_AS(cache({four}, {four, four}, four_tokens()), shape_error);
  CHECK_THROWS_AS(cache({four, four}, {four, four}, four_tokens()), shape_error);
  CHECK_THROWS_AS(cache({four}, {four}, four_tokens(1, 2)), shape_error);
  CHECK_THROWS_AS(cache({at::Tensor()}, {four}, four_tokens()), shape_error);
  CHECK_THAT(message_of<shape_error>([&] { cache({three}, {three}, four_tokens()); }),
             StartsWith("cache: keys: expected capacity for 4 slots, got [1, 2, 3, 8]"));
}

TEST_CASE("a copied view has storage of its own, in the canonical layout, with room to grow", "[cache]") {
  const std::vector<at::Tensor> keys = {random_keys({1, 4, 2, known_head_dim})};
  const cache_view<layouts::batch_seq_heads_dim> view(keys, keys, four_tokens());
  const cache tight(view);
  const cache roomy(view, 9);
  CHECK(tight.capacity() == 4);
  CHECK(roomy.capacity() == 9);
  CHECK(cache(view, 2).capacity() == 4);
  for (const cache* copy : {&tight, &roomy}) {
    CHECK(at::equal(copy->view().layer(0).keys(), keys[0].transpose(1, 2)));
    CHECK(at::equal(copy->view().layer(0).values(), keys[0].transpose(1, 2)));
    CHECK(copy->view().frame() == view.frame());
  }
  tight.view().layer(0).keys().fill_(0);
  CHECK_FALSE(at::equal(keys[0], at::zeros_like(keys[0])));
}

TEST_CASE("keys are read where a pending move takes them, and the tensors are out of reach", "[cache]") {
  known_cache known = known_cache_of(2, 4);
  known.kv.shift(3);
  CHECK_FALSE(known.kv.materialized());
  CHECK(known.kv.stored().next_position() == 4);
  CHECK(known.kv.target().next_position() == 7);
  const at::Tensor stored = known.kv.clone().view().layer(0).keys();
  CHECK(distance_from_written(known) < 1e-12);
  CHECK(known.kv.stored().next_position() == 4);
  CHECK_THAT(message_of<frame_error>([&] { known.kv.view().layer(0).stored_keys(); }),
             contains("expected keys that lie where the frame says (materialize() the cache first, or read keys()), "
                      "got a pending move"));
  CHECK(at::equal(known.kv.clone().view().layer(0).keys(), stored));
  known.kv.materialize();
  CHECK(known.kv.view().frame() == known.kv.target());
  CHECK(distance_from_written(known) < 1e-12);
}

TEST_CASE("shifting back and forth leaves nothing to do", "[cache]") {
  known_cache known = known_cache_of(1, 4);
  known.kv.shift(3);
  known.kv.shift(-3);
  CHECK(known.kv.materialized());
  CHECK_NOTHROW(known.kv.view());
}

TEST_CASE("values do not move, bit for bit, whatever the keys do", "[cache]") {
  known_cache known = known_cache_of(2, 4, 1, at::kBFloat16);
  const at::Tensor values = known.kv.view().layer(1).values().clone();
  known.kv.shift(3);
  known.kv.materialize();
  known.kv.remap(position_map(position_row::listed({9, 2, 2, 40})));
  known.kv.reframe({known_specification(1.2), known_specification(0.9)});
  known.kv.materialize();
  known.kv.unrotate();
  known.kv.materialize();
  CHECK(at::equal(known.kv.view().layer(1).values(), values));
}

TEST_CASE("a clone has storage of its own and the same pending moves", "[cache]") {
  known_cache known = known_cache_of(1, 4, 1, at::kDouble, 2);
  known.kv.shift(5);
  cache copy = known.kv.clone();
  CHECK(copy.target() == known.kv.target());
  CHECK(copy.stored() == known.kv.stored());
  CHECK(copy.capacity() == 6);
  copy.materialize();
  CHECK_FALSE(known.kv.materialized());
  known.kv.materialize();
  CHECK(at::equal(copy.view().layer(0).keys(), known.kv.view().layer(0).keys()));
  CHECK_FALSE(copy.view().layer(0).keys().data_ptr() == known.kv.view().layer(0).keys().data_ptr());
}

TEST_CASE("a remap names a position for every key", "[cache]") {
  known_cache known = known_cache_of(2, 4, 2);
  CHECK_THROWS_AS(known.kv.remap(position_map::consecutive(0, 3, 2)), shape_error);
  CHECK_THROWS_AS(known.kv.remap(position_map::consecutive(0, 4, 1)), shape_error);
  CHECK_THROWS_AS(known.kv.remap(position_map::consecutive(0, 4, 2).with_heads(3)), shape_error);
  CHECK_THROWS_AS(known.kv.remap(position_map(2, 2, 1, std::vector(4, position_row::consecutive(0, 4)))), shape_error);
  CHECK_THROWS_AS(known.kv.remap(position_map(position_row::consecutive(0, 4, slot_state::padding()), 2)), shape_error);
  CHECK(known.kv.materialized());

  known.kv.remap(position_map::consecutive(30, 4, 2).with_heads(2));
  known.kv.materialize();
  CHECK(distance_from_written(known) < 1e-12);
}

TEST_CASE("a remap leaves padding where it is, whatever it says there", "[cache]") {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append(position_row::consecutive(0, 3));
  known_cache known = known_cache_in(cache_frame(1, {position_map(row), {known_specification()}}));
  known.kv.remap(position_map(position_row::listed({99, 4, 5, 9})));
  const auto slots = known.kv.target().layer(0).positions.row(0, 0, 0).one_run_per_slot();
  CHECK(slots[0].state.is_padding());
  CHECK(slots[3].first == 9);
  CHECK(slots[3].state.is_rotated());
}

TEST_CASE("un-rotated keys are the plain ones, and rotate back to where they stood", "[cache]") {
  known_cache known = known_cache_of(2, 4);
  const cache_frame before = known.kv.stored();
  known.kv.unrotate();
  known.kv.materialize();
  CHECK(max_difference(known.kv.view().layer(1).keys(), known.plain[1]) < 1e-12);
  CHECK(known.kv.view().frame().next_position() == 4);

  known.kv.shift(2);
  CHECK_FALSE(known.kv.materialized());
  known.kv.materialize();
  CHECK(max_difference(known.kv.view().layer(1).keys(), known.plain[1]) < 1e-12);

  known.kv.shift(-2);
  known.kv.rotate({known_specification(), known_specification()});
  known.kv.materialize();
  CHECK(known.kv.view().frame() == before);
  CHECK(distance_from_written(known) < 1e-12);
}

TEST_CASE("a key that was never rotated is not un-rotated or reframed", "[cache]") {
  known_cache known = half_rotated();
  CHECK(message_of<frame_error>([&] { known.kv.unrotate(); }) ==
        "cache::unrotate: keys: expected rotated keys, got keys that were never rotated");
  CHECK(message_of<frame_error>([&] { known.kv.reframe({known_specification()}); }) ==
        "cache::reframe: keys: expected rotated keys, got keys that were never rotated");
  CHECK(known.kv.materialized());
}

TEST_CASE("a rotated key is not rotated again", "[cache]") {
  known_cache known = half_rotated();
  CHECK(message_of<frame_error>([&] { known.kv.rotate({known_specification()}); }) ==
        "cache::rotate: keys: expected keys without rotation, got rotated keys");
  CHECK(known.kv.materialized());
}

TEST_CASE("rotation needs one specification per layer", "[cache]") {
  known_cache known = known_cache_of(3, 4);
  CHECK_THROWS_AS(known.kv.reframe({known_specification()}), shape_error);
  CHECK_THROWS_AS(known.kv.reframe(std::vector(4, known_specification())), shape_error);
}

TEST_CASE("layers that share a frame share it after a reframe if their specifications agree", "[cache]") {
  known_cache known = known_cache_of(4, 4);
  const rotary_specification local = known_specification(1.0, 1e4);
  const rotary_specification global = known_specification(1.0, 1e6);
  known.kv.reframe({local, global, local, global});
  CHECK(known.kv.target().shared(0) == known.kv.target().shared(2));
  CHECK(known.kv.target().shared(1) == known.kv.target().shared(3));
  CHECK_FALSE(known.kv.target().shared(0) == known.kv.target().shared(1));
  known.kv.materialize();
  CHECK(distance_from_written(known) < 1e-12);
}

TEST_CASE("cropping gives up slots and keeps the room they took", "[cache]") {
  known_cache known = known_cache_of(2, 6);
  known.kv.crop(4);
  CHECK(known.kv.length(1) == 4);
  CHECK(known.kv.capacity(1) == 6);
  CHECK(known.kv.view().layer(0).keys().size(2) == 4);
  CHECK_THROWS_AS(known.kv.crop(5), shape_error);
  CHECK_THROWS_AS(known.kv.crop(-1), shape_error);
  known.kv.crop(0);
  CHECK(known.kv.view().size() == 0);
}

TEST_CASE("cropping keeps a pending move for the slots that stay", "[cache]") {
  known_cache known = known_cache_of(1, 6);
  known.kv.shift(7);
  known.kv.crop(2);
  known.kv.materialize();
  CHECK(known.kv.view().frame().next_position() == 9);
  CHECK(distance_from_written(known.kv.view().layer(0).keys(), known.plain[0].slice(2, 0, 2),
                              known.kv.view().frame().layer(0)) < 1e-12);
}

TEST_CASE("an assumed frame relabels without touching data, and says so from then on", "[cache]") {
  known_cache known = known_cache_of(1, 4);
  const at::Tensor before = known.kv.view().layer(0).keys().clone();
  known.kv.assume_frame(cache_frame(1, {position_map::consecutive(100, 4), {known_specification()}}));
  CHECK(at::equal(known.kv.view().layer(0).keys(), before));
  CHECK(known.kv.view().frame().next_position() == 104);
  CHECK(known.kv.view().frame().assumed());

  known.kv.shift(1);
  known.kv.materialize();
  CHECK(known.kv.view().frame().assumed());
  CHECK(known.kv.clone().view().frame().assumed());
  CHECK(cache(known.kv.view()).view().frame().assumed());
}

TEST_CASE("an assumed frame that the tensors cannot be read in is refused and changes nothing", "[cache]") {
  known_cache known = known_cache_of(1, 4);
  const cache_frame before = known.kv.stored();
  CHECK_THROWS_AS(known.kv.assume_frame(four_tokens(2)), shape_error);
  CHECK_THROWS_AS(known.kv.assume_frame(four_tokens(1, 2)), shape_error);
  CHECK(known.kv.view().frame() == before);
  CHECK_FALSE(known.kv.view().frame().assumed());
}

TEST_CASE("a frame is not assumed over a pending move, which would be lost", "[cache]") {
  known_cache known = known_cache_of(1, 4);
  known.kv.shift(2);
  CHECK_THROWS_AS(known.kv.assume_frame(four_tokens()), frame_error);
}
