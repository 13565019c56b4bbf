#include "kvtransfer/cache/concat.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <vector>

#include "cache/known_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// `count` tokens from `first` on, in two layers.
cache cache_at(std::int64_t first, std::int64_t count,
               const rotary_specification& specification = known_specification(), std::int64_t batch = 1,
               at::ScalarType dtype = at::kDouble) {
  return known_cache_in(cache_frame(2, {position_map::consecutive(first, count, batch), {specification}}), 2, dtype).kv;
}

/// One layer whose keys are written as `states` says, each at its slot's number plus `first`.
cache in_states(std::int64_t first, const std::vector<slot_state>& states,
                std::vector<rotary_specification> specifications) {
  position_row row;
  for (const slot_state state : states) {
    row.append({first + row.size(), 1, 1, state});
  }
  return known_cache_in(cache_frame(1, {position_map(row), std::move(specifications)})).kv;
}

cache with_origin(cache kv, std::vector<std::vector<std::int64_t>> token_ids, const std::string& model) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    keys.push_back(kv.view().layer(i).keys());
    values.push_back(kv.view().layer(i).values());
  }
  cache_frame frame = kv.view().frame();
  frame.set_token_ids(std::move(token_ids));
  frame.set_origin(model_identity{model});
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

std::string refusal(const cache& first, const cache& second) {
  return message_of<frame_error>([&] { concat(first.view(), second.view()); });
}

}  // namespace

TEST_CASE("a concatenation holds one cache after the other, in storage of its own", "[cache][concat]") {
  const cache first = cache_at(0, 3);
  const cache second = cache_at(3, 2);
  const cache joined = concat(first.view(), second.view());
  CHECK(joined.length() == 5);
  CHECK(joined.view().frame().layer(1).positions == position_map::consecutive(0, 5));
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(at::equal(joined.view().layer(i).keys(),
                    at::cat({first.view().layer(i).keys(), second.view().layer(i).keys()}, 2)));
    CHECK(at::equal(joined.view().layer(i).values(),
                    at::cat({first.view().layer(i).values(), second.view().layer(i).values()}, 2)));
  }
  joined.view().layer(0).keys().fill_(0);
  CHECK_FALSE(at::equal(first.view().layer(0).keys(), joined.view().layer(0).keys().slice(2, 0, 3)));
}

TEST_CASE("the parts of a cache, concatenated, are the cache", "[cache][concat]") {
  const known_cache known = known_cache_of(2, 6, 3);
  const cache_view<> whole = known.kv.view();
  const cache joined = concat(whole.slice(0, 4), whole.slice(4, 6));
  CHECK(joined.view().frame() == whole.frame());
  CHECK(at::equal(joined.view().layer(1).keys(), whole.layer(1).keys()));
}

TEST_CASE("the second cache may lie in another layout", "[cache][concat]") {
  const cache first = cache_at(0, 3);
  const std::vector<at::Tensor> keys = {random_keys({1, 2, 2, known_head_dim}, at::kDouble),
                                        random_keys({1, 2, 2, known_head_dim}, at::kDouble)};
  const cache_view<layouts::batch_seq_heads_dim> second(
      keys, keys, cache_frame(2, {position_map::consecutive(3, 2), {known_specification()}}));
  CHECK(at::equal(concat(first.view(), second).view().layer(1).keys().slice(2, 3), keys[1].transpose(1, 2)));
}

TEST_CASE("tokens and model are known where both sides know them", "[cache][concat]") {
  const cache first = with_origin(cache_at(0, 2), {{5, 6}}, "model a");
  const cache second = with_origin(cache_at(2, 1), {{7}}, "model a");
  const cache joined = concat(first.view(), second.view());
  CHECK(joined.view().frame().token_ids() == std::vector<std::vector<std::int64_t>>{{5, 6, 7}});
  CHECK(joined.view().frame().model().digest == "model a");
}

TEST_CASE("caches of two models are not concatenated", "[cache][concat]") {
  const cache first = with_origin(cache_at(0, 2), {{5, 6}}, "model a");
  CHECK(refusal(first, with_origin(cache_at(2, 1), {{7}}, "model b")) ==
        "concat: model of second: expected digest model a, got digest model b");
  CHECK(refusal(first, cache_at(2, 1)) == "concat: model of second: expected digest model a, got digest unknown");
}

TEST_CASE("two keys at one position are refused unless asked for", "[cache][concat]") {
  const cache first = cache_at(0, 3);
  const cache second = cache_at(2, 2);
  CHECK(refusal(first, second) ==
        "concat: positions: expected positions that only one cache holds (shift one, or allow overlap), got position 2 "
        "in both");
  CHECK(concat(first.view(), second.view(), position_overlap::allowed).length() == 5);
}

TEST_CASE("rows may hold the positions that another row has, and padding none", "[cache][concat]") {
  position_row behind_padding = position_row::consecutive(0, 1, slot_state::padding());
  behind_padding.append(position_row::consecutive(7, 2));
  const auto rows = [](position_row a, position_row b) {
    return known_cache_in(
               cache_frame(1, {position_map(1, 2, 1, {std::move(a), std::move(b)}), {known_specification()}}))
        .kv;
  };
  const cache first = rows(position_row::consecutive(0, 3), behind_padding);
  CHECK(concat(first.view(), rows(position_row::consecutive(3, 2), position_row::consecutive(0, 2)).view()).length() ==
        5);
  CHECK_THROWS_AS(concat(first.view(), rows(position_row::consecutive(3, 2), position_row::consecutive(8, 2)).view()),
                  frame_error);
}

TEST_CASE("a position is what all streams say together", "[cache][concat]") {
  const auto patch = [](std::int64_t row, std::int64_t column) {
    const auto at = [](std::int64_t place) { return position_row::consecutive(place, 1); };
    return known_cache_in(
               cache_frame(1, {position_map(3, 1, 1, {at(4), at(row), at(column)}), {known_specification()}}))
        .kv;
  };
  CHECK(concat(patch(4, 4).view(), patch(4, 5).view()).length() == 2);
  CHECK_THROWS_AS(concat(patch(4, 5).view(), patch(4, 5).view()), frame_error);
}

TEST_CASE("heads with positions of their own are compared one by one", "[cache][concat]") {
  const auto heads = [](std::int64_t a, std::int64_t b) {
    const position_map map(1, 1, 2, {position_row::consecutive(a, 2), position_row::consecutive(b, 2)});
    return known_cache_in(cache_frame(1, {map, {known_specification()}})).kv;
  };
  const cache shared = known_cache_in(cache_frame(1, {position_map::consecutive(4, 2), {known_specification()}})).kv;
  CHECK(concat(heads(0, 2).view(), shared.view()).view().frame().layer(0).positions.heads() == 2);
  CHECK(concat(heads(0, 2).view(), heads(2, 0).view()).length() == 4);
  CHECK_THROWS_AS(concat(heads(0, 3).view(), shared.view()), frame_error);
}

TEST_CASE("keys of different rotary specifications are not concatenated", "[cache][concat]") {
  const std::string message = refusal(cache_at(0, 2), cache_at(2, 2, known_specification(1.5)));
  CHECK_THAT(message, StartsWith("concat: rotary specification: expected default: attention_scaling 1 in both caches"));
  CHECK_THAT(message, contains("scaling 1.5"));
}

TEST_CASE("rotated keys and keys without rotation are not concatenated", "[cache][concat]") {
  cache second = cache_at(2, 2);
  second.unrotate();
  second.materialize();
  CHECK_THAT(refusal(cache_at(0, 2), second), contains("got (no rotation)"));

  cache first = cache_at(0, 2);
  first.unrotate();
  first.materialize();
  CHECK(concat(first.view(), second.view()).length() == 4);
}

TEST_CASE("regimes are compared by what keys use, not by how frames number them", "[cache][concat]") {
  const rotary_specification a = known_specification(1.0);
  const rotary_specification b = known_specification(1.0, 1e6);
  const slot_state first = slot_state::rotated(0);
  const slot_state second = slot_state::rotated(1);

  const cache joined =
      concat(in_states(0, {first, second}, {a, b}).view(), in_states(2, {first, second}, {b, a}).view());
  const auto slots = joined.view().frame().layer(0).positions.row(0, 0, 0).one_run_per_slot();
  CHECK(slots[2].state.specification() == 1);
  CHECK(slots[3].state.specification() == 0);

  CHECK(concat(in_states(0, {first, first}, {a, b}).view(), in_states(2, {first}, {a}).view()).length() == 3);
  CHECK_THROWS_AS(concat(in_states(0, {first, second}, {a, b}).view(), in_states(2, {first}, {a}).view()), frame_error);
}

TEST_CASE("a cache without keys goes with any", "[cache][concat]") {
  const cache empty = cache_at(0, 0, known_specification(1.5));
  CHECK(concat(empty.view(), cache_at(0, 2).view()).length() == 2);
  CHECK(concat(cache_at(0, 2).view(), empty.view()).length() == 2);
}

TEST_CASE("caches of different shapes are not concatenated", "[cache][concat]") {
  const cache first = cache_at(0, 2);
  const auto refused = [&](const cache& second) { CHECK_THROWS_AS(concat(first.view(), second.view()), shape_error); };
  refused(known_cache_of(3, 2).kv);
  refused(cache_at(2, 2, known_specification(), 2));
  refused(known_cache_in(cache_frame(2, {position_map::consecutive(2, 2), {known_specification()}}), 4).kv);
  refused(cache_at(2, 2, known_specification(), 1, at::kFloat));
  refused(known_cache_in(cache_frame(2, {position_map(3, 1, 1, std::vector(3, position_row::consecutive(2, 2))),
                                         {known_specification()}}))
              .kv);

  const std::vector<at::Tensor> keys(2, random_keys({1, 2, 2, known_head_dim}, at::kDouble));
  const std::vector<at::Tensor> wide_values(2, random_keys({1, 2, 2, 16}, at::kDouble));
  refused(cache(keys, wide_values, cache_frame(2, {position_map::consecutive(2, 2), {known_specification()}})));
}

TEST_CASE("caches on different devices are not concatenated", "[cache][concat]") {
  const std::vector<at::Tensor> elsewhere(
      2, at::empty({1, 2, 2, known_head_dim}, at::TensorOptions().device(at::kMeta).dtype(at::kDouble)));
  const cache second(elsewhere, elsewhere, cache_frame(2, {position_map::consecutive(3, 2), {known_specification()}}));
  CHECK_THROWS_AS(concat(cache_at(0, 3).view(), second.view()), device_error);
}
