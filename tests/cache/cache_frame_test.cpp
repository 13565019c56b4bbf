#include "kvtransfer/cache/cache_frame.hpp"

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

using token_rows = std::vector<std::vector<std::int64_t>>;

layer_frame frame_at(std::int64_t first, std::int64_t count, std::int64_t batch = 1, double theta = 1e4) {
  return {position_map::consecutive(first, count, batch), {plain_specification(4, theta)}};
}

/// Two layers, text known.
cache_frame frame_of_text(std::int64_t first, token_rows rows, const std::string& model = "model a") {
  cache_frame frame(
      2, frame_at(first, static_cast<std::int64_t>(rows.front().size()), static_cast<std::int64_t>(rows.size())));
  frame.set_token_ids(std::move(rows));
  frame.set_origin(model_identity{model});
  return frame;
}

}  // namespace

TEST_CASE("layers made from one frame share it, and still do after a change, which is made once",
          "[cache][cache_frame]") {
  const cache_frame frame(4, frame_at(0, 3));
  int changes = 0;
  const cache_frame changed = frame.transform([&](const layer_frame& layer) {
    ++changes;
    return layer.shifted(2);
  });
  CHECK(changes == 1);
  CHECK(changed.shared(0) == changed.shared(3));
  CHECK(changed.layer(3).next_position() == 5);
  CHECK(frame.layer(3).next_position() == 3);
}

TEST_CASE("layers with frames of their own are changed one by one", "[cache][cache_frame]") {
  const auto local = std::make_shared<const layer_frame>(frame_at(0, 3));
  const auto global = std::make_shared<const layer_frame>(frame_at(0, 5, 1, 1e6));
  const cache_frame shifted =
      cache_frame({local, global, local}).transform([](const layer_frame& layer) { return layer.shifted(1); });
  CHECK(shifted.shared(0) == shifted.shared(2));
  CHECK_FALSE(shifted.shared(0) == shifted.shared(1));
  CHECK(shifted.next_position() == 6);
}

TEST_CASE("a layer that is not there is refused", "[cache][cache_frame]") {
  const cache_frame frame(2, frame_at(0, 3));
  CHECK_THROWS_AS(frame.layer(2), shape_error);
  CHECK_THROWS_AS(frame.layer(-1), shape_error);
  CHECK_THROWS_AS(cache_frame().layer(0), shape_error);
  CHECK_THROWS_AS(frame.with_layers({frame.shared(0)}), shape_error);
}

TEST_CASE("other layer frames keep the origin", "[cache][cache_frame]") {
  const cache_frame frame = frame_of_text(0, {{4, 5, 6}});
  const cache_frame changed = frame.with_layers({frame.shared(1), std::make_shared<const layer_frame>(frame_at(9, 3))});
  CHECK(changed.model().digest == "model a");
  CHECK(changed.token_ids() == frame.token_ids());
  CHECK(changed.next_position() == 12);
}

TEST_CASE("a slice takes tokens and positions of the same slots", "[cache][cache_frame]") {
  const cache_frame part = frame_of_text(10, {{4, 5, 6, 7}, {-1, 1, 2, 3}}).slice(1, 3);
  CHECK(part.token_ids() == token_rows{{5, 6}, {1, 2}});
  CHECK(part.layer(1).positions.row(0, 1, 0).positions() == std::vector<std::int64_t>{11, 12});
  CHECK(part.shared(0) == part.shared(1));
  CHECK_THROWS_AS(part.slice(0, 3), shape_error);
}

TEST_CASE("sequences are picked, repeated and reordered with their tokens", "[cache][cache_frame]") {
  const cache_frame picked = frame_of_text(0, {{4, 5}, {8, 9}}).select_batch({1, 0, 1});
  CHECK(picked.token_ids() == token_rows{{8, 9}, {4, 5}, {8, 9}});
  CHECK(picked.layer(0).positions.batch() == 3);
  CHECK(picked.shared(0) == picked.shared(1));
  CHECK(picked.model().digest == "model a");
  CHECK_THROWS_AS(picked.select_batch({3}), shape_error);
}

TEST_CASE("joined frames hold one text after the other", "[cache][cache_frame]") {
  const cache_frame joined = frame_of_text(0, {{4, 5}}).followed_by(frame_of_text(2, {{6}}));
  CHECK(joined.token_ids() == token_rows{{4, 5, 6}});
  CHECK(joined.layer(0).positions == position_map::consecutive(0, 3));
  CHECK(joined.shared(0) == joined.shared(1));
  CHECK(joined.model().digest == "model a");
}

TEST_CASE("joined frames know only what both sides know and agree on", "[cache][cache_frame]") {
  cache_frame unknown(2, frame_at(2, 1));
  CHECK(frame_of_text(0, {{4, 5}}).followed_by(unknown).token_ids().empty());
  CHECK(unknown.followed_by(frame_of_text(0, {{4, 5}})).token_ids().empty());
  CHECK(frame_of_text(0, {{4}}, "model a").followed_by(frame_of_text(1, {{5}}, "model b")).model().digest.empty());
}

TEST_CASE("an empty frame takes the model of what follows it", "[cache][cache_frame]") {
  const cache_frame empty(2, frame_at(0, 0));
  CHECK(empty.is_empty());
  CHECK(empty.followed_by(frame_of_text(0, {{4}})).model().digest == "model a");
}

TEST_CASE("a joined frame is assumed if one side is", "[cache][cache_frame]") {
  cache_frame relabelled = frame_of_text(1, {{5}});
  relabelled.set_assumed();
  CHECK(frame_of_text(0, {{4}}).followed_by(relabelled).assumed());
  CHECK(relabelled.followed_by(frame_of_text(2, {{4}})).assumed());
  CHECK(relabelled.slice(0, 1).assumed());
  CHECK_FALSE(frame_of_text(0, {{4}}).assumed());
}

TEST_CASE("frames of different depth cannot be joined", "[cache][cache_frame]") {
  CHECK_THROWS_AS(cache_frame(2, frame_at(0, 1)).followed_by(cache_frame(3, frame_at(1, 1))), shape_error);
}

TEST_CASE("a check that refuses stops the joining", "[cache][cache_frame]") {
  const cache_frame frame(3, frame_at(0, 1));
  int checks = 0;
  frame.followed_by(frame, [&](const layer_frame&, const layer_frame&) { ++checks; });
  CHECK(checks == 1);
  CHECK_THROWS_AS(frame.followed_by(frame, [](const layer_frame&, const layer_frame&) { throw frame_error("no"); }),
                  frame_error);
}

TEST_CASE("token ids have one row per sequence and one id per slot", "[cache][cache_frame]") {
  cache_frame frame(1, frame_at(0, 2, 2));
  CHECK_THROWS_AS(frame.set_token_ids({{1, 2}}), shape_error);
  CHECK_THROWS_AS(frame.set_token_ids({{1, 2}, {3}}), shape_error);
  CHECK_THROWS_AS(cache_frame().set_token_ids({{1}}), shape_error);
  frame.set_token_ids({{1, 2}, {-1, 3}});
  CHECK(frame.token_ids().back() == std::vector<std::int64_t>{-1, 3});
  frame.set_token_ids({});
  CHECK(frame.token_ids().empty());
}

TEST_CASE("frames are equal when all they say is, shared or not", "[cache][cache_frame]") {
  const auto first = std::make_shared<const layer_frame>(frame_at(0, 2));
  const auto second = std::make_shared<const layer_frame>(frame_at(0, 2));
  CHECK(cache_frame({first, second}) == cache_frame(2, frame_at(0, 2)));
  CHECK_FALSE(cache_frame({first, second}) == cache_frame(1, frame_at(0, 2)));
  CHECK_FALSE(frame_of_text(0, {{1}}) == frame_of_text(0, {{2}}));
  CHECK_FALSE(frame_of_text(0, {{1}}, "model a") == frame_of_text(0, {{1}}, "model b"));

  cache_frame relabelled = frame_of_text(0, {{1}});
  relabelled.set_assumed();
  CHECK_FALSE(relabelled == frame_of_text(0, {{1}}));
}

namespace {

/// Two layers that share a frame and one of its own, with two sequences of `count` tokens from `first` on.
cache_frame text_frame(std::int64_t first, std::int64_t count) {
  const auto shared = std::make_shared<const layer_frame>(
      layer_frame{position_map::consecutive(first, count, 2), {rotary_specification{}}});
  const auto own = std::make_shared<const layer_frame>(
      layer_frame{position_map(position_row::consecutive(first, count, slot_state::unrotated()), 2), {}});
  cache_frame frame({shared, own, shared});
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    ids.push_back(first + i);
  }
  frame.set_token_ids({ids, ids});
  frame.set_origin(model_identity{"a model"});
  return frame;
}

}  // namespace

TEST_CASE("appending equals being followed, token by token", "[cache][cache_frame]") {
  cache_frame grown = text_frame(0, 3);
  cache_frame expected = grown;
  for (std::int64_t i = 3; i < 9; ++i) {
    expected = expected.followed_by(text_frame(i, 1));
    grown.append(text_frame(i, 1));
    CHECK(grown == expected);
    CHECK(grown.shared(0) == grown.shared(2));
  }
  CHECK(grown == text_frame(0, 9));
}

TEST_CASE("a copy taken before an append stays as it was", "[cache][cache_frame]") {
  cache_frame grown = text_frame(0, 3);
  grown.append(text_frame(3, 1));
  const cache_frame before = grown;
  const cache_frame::shared_layer layer = grown.shared(1);
  grown.append(text_frame(4, 1));
  grown.append(text_frame(5, 1));
  CHECK(before == text_frame(0, 4));
  CHECK(layer->size() == 4);
  CHECK(grown == text_frame(0, 6));
}

TEST_CASE("an append goes on in the same storage while nobody else holds it", "[cache][cache_frame]") {
  cache_frame grown = text_frame(0, 3);
  grown.append(text_frame(3, 1));
  const layer_frame* const layer = &grown.layer(0);
  for (std::int64_t i = 4; i < 40; ++i) {
    grown.append(text_frame(i, 1));
  }
  CHECK(&grown.layer(0) == layer);
  CHECK(grown.layer(0).size() == 40);
}

TEST_CASE("layers that part ways behind a frame they shared are two from there on", "[cache][cache_frame]") {
  cache_frame grown(2, {position_map::consecutive(0, 3), {rotary_specification{}}});
  const auto at = [](std::int64_t position) {
    return std::make_shared<const layer_frame>(
        layer_frame{position_map::consecutive(position, 1), {rotary_specification{}}});
  };
  grown.append(cache_frame({at(3), at(7)}));
  grown.append(cache_frame({at(4), at(8)}));
  CHECK(grown.layer(0).positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  CHECK(grown.layer(1).positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{0, 1, 2, 7, 8});
}

TEST_CASE("a frame can be appended to itself", "[cache][cache_frame]") {
  cache_frame twice = text_frame(0, 2);
  twice.append(text_frame(2, 1));
  const cache_frame expected = twice.followed_by(twice);
  twice.append(twice);
  CHECK(twice == expected);
  CHECK(twice.token_ids()[0] == std::vector<std::int64_t>{0, 1, 2, 0, 1, 2});
}

TEST_CASE("an append that is refused changes nothing", "[cache][cache_frame]") {
  cache_frame grown = text_frame(0, 3);
  const cache_frame before = grown;
  CHECK_THROWS_AS(grown.append(cache_frame(2, text_frame(3, 1).layer(0))), shape_error);
  const auto fits = std::make_shared<const layer_frame>(text_frame(3, 1).layer(0));
  const auto one_sequence =
      std::make_shared<const layer_frame>(layer_frame{position_map::consecutive(3, 1), {rotary_specification{}}});
  CHECK_THROWS_AS(grown.append(cache_frame({fits, one_sequence, fits})), shape_error);
  CHECK(grown == before);
}
