#include "kvtransfer/cache/cache_edit.hpp"

#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/edit_slots.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

layer_frame plain_layer(std::int64_t first, std::int64_t count) {
  return {position_map::consecutive(first, count), {plain_specification(4, 1e4)}};
}

cache_edit noise_in(std::vector<std::int64_t> layers, std::vector<slot_range> slots) {
  return {edit_kind::noise, cache_half::keys, std::move(layers), {}, std::move(slots), "seed 7"};
}

}  // namespace

TEST_CASE("an edit says what, where and from where", "[cache][cache_edit]") {
  CHECK(describe(cache_edit{edit_kind::noise, cache_half::both, {0, 1, 2, 5}, {}, {{0, 4}, {9, 1}}, "seed 7"}) ==
        "noise in keys and values, layers 0-2, 5, slots 0-3, 9, from seed 7");
  CHECK(describe(cache_edit{edit_kind::half, cache_half::values, {3}, {1}, {{2, 1}}, ""}) ==
        "half in values, layers 3, heads 1, slots 2");
}

TEST_CASE("kinds and halves are found by the names that they have", "[cache][cache_edit]") {
  for (const edit_kind kind : {edit_kind::noise, edit_kind::mixture, edit_kind::half, edit_kind::blend,
                               edit_kind::projected, edit_kind::other}) {
    CHECK(edit_kind_named(name_of(kind)) == kind);
  }
  for (const cache_half half : {cache_half::both, cache_half::keys, cache_half::values}) {
    CHECK(cache_half_named(name_of(half)) == half);
  }
  CHECK_FALSE(edit_kind_named("noisy").has_value());
  CHECK_FALSE(cache_half_named("").has_value());
}

TEST_CASE("an edit that names no layers or slots concerns all there are", "[cache][cache_edit]") {
  cache_frame frame(2, plain_layer(0, 5));
  frame.add_edit(noise_in({}, {}));
  CHECK((frame.edits() == std::vector{noise_in({0, 1}, {{0, 5}})}));
  frame.add_edit(noise_in({0, 1}, {{0, 5}}));
  CHECK(frame.edits().size() == 1);  // the same again says nothing new
}

TEST_CASE("an edit of layers or slots that are not there is refused", "[cache][cache_edit]") {
  cache_frame frame(2, plain_layer(0, 5));
  CHECK_THROWS_AS(frame.add_edit(noise_in({2}, {})), shape_error);
  CHECK_THROWS_AS(frame.add_edit(noise_in({0}, {{3, 3}})), shape_error);
  CHECK(frame.edits().empty());
}

TEST_CASE("edits are no assumption", "[cache][cache_edit]") {
  cache_frame frame(2, plain_layer(0, 5));
  frame.add_edit(noise_in({}, {}));
  CHECK_FALSE(frame.assumed());
  CHECK_FALSE(frame == cache_frame(2, plain_layer(0, 5)));
}

TEST_CASE("edits survive a slice with the slots that they name, and go with the last of them", "[cache][cache_edit]") {
  cache_frame frame(2, plain_layer(0, 9));
  frame.add_edit(noise_in({1}, {{2, 3}, {7, 1}}));
  CHECK((frame.slice(3, 9).edits() == std::vector{noise_in({1}, {{0, 2}, {4, 1}})}));
  CHECK(frame.slice(5, 7).edits().empty());
}

TEST_CASE("edits of a cache behind another stand behind its slots, layer by layer", "[cache][cache_edit]") {
  const auto longer = std::make_shared<const layer_frame>(plain_layer(0, 4));
  const auto shorter = std::make_shared<const layer_frame>(plain_layer(1, 3));
  cache_frame front({longer, shorter, longer});
  front.add_edit(noise_in({0}, {{0, 1}}));
  cache_frame tail(3, plain_layer(4, 2));
  tail.add_edit(noise_in({}, {}));
  CHECK((front.followed_by(tail).edits() ==
         std::vector{noise_in({0}, {{0, 1}}), noise_in({0, 2}, {{4, 2}}), noise_in({1}, {{3, 2}})}));
}

TEST_CASE("edits survive changes of positions and choices of sequences", "[cache][cache_edit]") {
  cache_frame frame(2, plain_layer(0, 5));
  frame.add_edit(noise_in({}, {}));
  CHECK((frame.transform([](const layer_frame& layer) { return layer.shifted(9); }).edits() == frame.edits()));
  CHECK((frame.select_batch({0, 0}).edits() == frame.edits()));
}

TEST_CASE("the most often rounded of several layers and caches counts, and positions are compared without it",
          "[cache][cache_edit]") {
  const cache_frame exact(2, plain_layer(0, 5));
  const cache_frame moved = exact.with_roundings(3);
  CHECK(exact.roundings() == 0);
  CHECK(moved.roundings() == 3);
  CHECK(moved.rounding_bound() == 3.0);
  CHECK(moved == exact);
  CHECK(cache_frame({exact.shared(0), moved.shared(0)}).roundings() == 3);
  CHECK(exact.followed_by(cache_frame(2, plain_layer(5, 1)).with_roundings(2)).roundings() == 2);
  CHECK(moved.slice(1, 2).shared(0)->roundings == 3);
}

TEST_CASE("an edit is found again, in whatever order its layers, heads and slots are named", "[cache][cache_edit]") {
  cache_frame frame(4, plain_layer(0, 9));
  cache_edit named = noise_in({3, 1, 2, 1}, {{6, 2}, {0, 1}, {1, 2}, {7, 1}});
  named.heads = {5, 0, 5};
  frame.add_edit(named);
  cache_edit ordered = noise_in({1, 2, 3}, {{0, 3}, {6, 2}});
  ordered.heads = {0, 5};
  CHECK((frame.edits() == std::vector{ordered}));
  CHECK(frame.of_layer(1).edits().size() == 1);
  CHECK(frame.of_layer(0).edits().empty());
  CHECK(detail::edits_of_items(frame.edits(), &cache_edit::heads, {0}).size() == 1);
  frame.set_edits({noise_in({0}, {{4, 0}})});
  CHECK(frame.edits().empty());  // nothing was changed
}
