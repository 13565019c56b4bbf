#include "kvtransfer/inject/prepend.hpp"

#include <ATen/ops/equal.h>

#include <memory>
#include <vector>

#include "cache/known_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using token_rows = std::vector<std::vector<std::int64_t>>;

/// Two layers of `rows`, whose text and model are known.
cache source_of(std::vector<position_row> rows, token_rows token_ids) {
  const auto batch = static_cast<std::int64_t>(rows.size());
  cache_frame frame(2, {position_map(1, batch, 1, std::move(rows)), {known_specification()}});
  frame.set_token_ids(std::move(token_ids));
  frame.set_origin(model_identity{"model a"});
  return known_cache_in(frame).kv;
}

/// Two rows, the first behind one slot of padding.
cache ragged_source() {
  position_row shorter = position_row::consecutive(0, 1, slot_state::padding());
  shorter.append(position_row::consecutive(0, 2));
  return source_of({shorter, position_row::consecutive(0, 3)}, {{-1, 1, 2}, {3, 4, 5}});
}

struct one_too_few {
  static constexpr std::string_view name = "one_too_few";
  position_row place(const position_row&, std::int64_t count) const { return position_row::consecutive(0, count - 1); }
};

struct only_padding {
  static constexpr std::string_view name = "only_padding";
  position_row place(const position_row&, std::int64_t count) const {
    return position_row::consecutive(0, count, slot_state::padding());
  }
};

}  // namespace

TEST_CASE("text follows the cache it is read after", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 3)}, {{1, 2, 3}});
  const plan text = prepend(source.view(), {{7, 8}});
  CHECK(text.token_ids == token_rows{{7, 8}});
  CHECK(text.positions == position_map::consecutive(3, 2));
  CHECK(text.layers.size() == 2);
  CHECK(text.injected(0) == 3);
  REQUIRE(text.segments(1).size() == 1);
  CHECK(text.segments(1)[0].kv().keys().data_ptr() == source.view().layer(1).keys().data_ptr());
  CHECK_FALSE(text.segments(1)[0].visible.defined());
}

TEST_CASE("a policy decides where text goes", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 3)}, {{1, 2, 3}});
  CHECK(prepend(source.view(), {{7, 8}}, place::restart{}).positions == position_map::consecutive(0, 2));
  CHECK(prepend(source.view(), {{7, 8}}, place::gap{4}).positions == position_map::consecutive(7, 2));
  const any_position_policy chosen = place::gap{4};
  CHECK(prepend(source.view(), {{7, 8}}, chosen).positions == position_map::consecutive(7, 2));
}

TEST_CASE("every row goes on from its own source, whatever the padding", "[inject][prepend]") {
  const cache source = ragged_source();
  const plan text = prepend(source.view(), {{7, 8}, {9}});
  CHECK(text.size() == 2);
  CHECK(text.positions.row(0, 0, 0) == position_row::consecutive(2, 2));
  CHECK(text.positions.row(0, 1, 0).one_run_per_slot()[0].state.is_padding());
  CHECK(text.positions.row(0, 1, 0).last_position() == 3);
}

TEST_CASE("one source serves all texts without a copy", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 3)}, {{1, 2, 3}});
  const plan text = prepend(source.view(), {{7, 8}, {9}, {10, 11, 12}});
  const layer_view<>& shared = text.segments(1)[0].kv();
  CHECK(shared.extents() == cache_extents{3, 2, 3, known_head_dim});
  CHECK(shared.keys().stride(0) == 0);
  CHECK(shared.values().stride(0) == 0);
  CHECK(shared.keys().data_ptr() == source.view().layer(1).keys().data_ptr());
  CHECK(at::equal(shared.values()[2], source.view().layer(1).values()[0]));
  for (std::int64_t row = 0; row < 3; ++row) {
    CHECK(shared.frame().positions.row(0, row, 0) == position_row::consecutive(0, 3));
    CHECK(text.positions.row(0, row, 0).last_position() ==
          2 + static_cast<std::int64_t>(text.token_ids[static_cast<std::size_t>(row)].size()));
  }
  CHECK(text.segments(0)[0].kv().shared_frame() == text.segments(1)[0].kv().shared_frame());
}

TEST_CASE("a plan remembers whose keys it injects", "[inject][prepend]") {
  const cache source = ragged_source();
  const plan text = prepend(source.view(), {{7}, {9}});
  for (const std::vector<segment>& layer : text.layers) {
    CHECK(layer.front().origin().model().digest == "model a");
    CHECK(layer.front().origin().token_ids() == token_rows{{-1, 1, 2}, {3, 4, 5}});
  }
  CHECK_FALSE(text.assumed());
}

TEST_CASE("a shared source's text stands in front of every row", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 2)}, {{1, 2}});
  const plan known = prepend(source.view(), {{7}, {8}, {9}});
  CHECK(known.segments(1).front().origin().token_ids() == token_rows{{1, 2}, {1, 2}, {1, 2}});
  const cache unknown = known_cache_of(2, 2).kv;
  CHECK(prepend(unknown.view(), {{7}, {8}, {9}}).segments(0).front().origin().token_ids().empty());
  CHECK_FALSE(prepend(unknown.view(), {{7}}).segments(0).front().origin().origin().is_known());
}

TEST_CASE("a plan says that its keys' frame was assumed", "[inject][prepend]") {
  cache source = source_of({position_row::consecutive(0, 2)}, {{1, 2}});
  source.assume_frame(source.view().frame());
  CHECK(prepend(source.view(), {{7}}).assumed());
  CHECK(prepend(source.view(), {{7}, {8}}).assumed());
}

TEST_CASE("text comes after the layer, head and stream that reaches furthest", "[inject][prepend]") {
  const auto layer = [](position_map positions) {
    return std::make_shared<const layer_frame>(layer_frame{std::move(positions), {known_specification()}});
  };
  const cache windowed =
      known_cache_in(cache_frame({layer(position_map::consecutive(7, 2)), layer(position_map::consecutive(0, 9))})).kv;
  CHECK(prepend(windowed.view(), {{1}}).positions == position_map::consecutive(9, 1));

  const cache evicted =
      known_cache_in(
          cache_frame({layer(position_map(1, 1, 2, {position_row::listed({0, 3}), position_row::listed({0, 6})}))}))
          .kv;
  CHECK(prepend(evicted.view(), {{1}}).positions == position_map::consecutive(7, 1));

  const cache image =
      known_cache_in(
          cache_frame({layer(position_map(2, 1, 1, {position_row::listed({0, 4}), position_row::listed({0, 5})}))}))
          .kv;
  CHECK(prepend(image.view(), {{1}}).positions == position_map::consecutive(6, 1));
}

TEST_CASE("a row without keys begins at 0", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 2, slot_state::padding())}, {{-1, -1}});
  CHECK(prepend(source.view(), {{7, 8}}).positions == position_map::consecutive(0, 2));
}

TEST_CASE("text comes after keys that stand below 0, not after a row without keys", "[inject][prepend]") {
  const position_row empty = position_row::consecutive(0, 2, slot_state::padding());
  const cache_frame::shared_layer layer = std::make_shared<const layer_frame>(
      layer_frame{position_map(1, 1, 2, {empty, position_row::consecutive(-9, 2)}), {known_specification()}});
  CHECK(prepend(known_cache_in(cache_frame({layer})).kv.view(), {{1}}).positions == position_map::consecutive(-7, 1));
}

TEST_CASE("a policy that does not place every token is refused by name", "[inject][prepend]") {
  const cache source = source_of({position_row::consecutive(0, 3)}, {{1, 2, 3}});
  CHECK(message_of<value_error>([&] { prepend(source.view(), {{7, 8}}, one_too_few{}); }) ==
        "prepend: position policy one_too_few: expected 2 positions of keys, got 1");
  const any_position_policy chosen = one_too_few{};
  CHECK(message_of<value_error>([&] { prepend(source.view(), {{7, 8}}, chosen); }) ==
        "prepend: position policy one_too_few: expected 2 positions of keys, got 1");
  CHECK(message_of<value_error>([&] { prepend(source.view(), {{7, 8}}, only_padding{}); }) ==
        "prepend: position policy only_padding: expected 2 positions of keys, got padding, or keys without rotation");
}

TEST_CASE("another number of rows than the source's is refused", "[inject][prepend]") {
  const cache source = ragged_source();
  CHECK(message_of<shape_error>([&] { prepend(source.view(), {{7}, {8}, {9}}); }) ==
        "prepend: token_ids: expected 2 rows, got 3");
  CHECK_THROWS_AS(prepend(source.view(), {{7}}), shape_error);
  CHECK_THROWS_AS(prepend(source.view(), {{7}, {}}), shape_error);
  CHECK_THROWS_AS(prepend(source.view(), {}), shape_error);
}
