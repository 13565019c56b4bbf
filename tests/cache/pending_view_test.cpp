#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <functional>
#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/compare.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/cache/crop.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/reorder.hpp"
#include "kvtransfer/cache/scatter.hpp"
#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/cache/select_tokens.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Two layers of six tokens in two rows, of which the second has two on the left that are padding, moved but for the
/// making of it: by 50 and into another specification.
cache moved_but_pending() {
  position_row padded;
  padded.append({0, 2, 0, slot_state::padding()});
  padded.append({0, 4, 1, slot_state::rotated()});
  cache_frame frame(2, {position_map(1, 2, 1, {position_row::consecutive(0, 6), padded}), {known_specification()}});
  frame.set_token_ids({{1, 2, 3, 4, 5, 6}, {-1, -1, 3, 4, 5, 6}});
  frame.set_origin(model_identity{"model a"});
  frame.add_edit({edit_kind::noise, cache_half::values, {1}, {}, {{1, 3}}, "seed 1"});
  cache kv = known_cache_in(frame, 2, at::kDouble, 3).kv;
  kv.shift(50);
  kv.reframe({known_specification(1.2), known_specification(0.9)});
  return kv;
}

void require_same_reading(const cache_view<>& found, const cache_view<>& expected) {
  REQUIRE(found.frame() == expected.frame());
  REQUIRE(found.frame().roundings() == expected.frame().roundings());
  REQUIRE(compare(found, expected).largest() < 1e-12);
}

/// Tokens written one by one at the end of a window that moves on, each in bfloat16 as a model would write it.
class streamed_tokens {
 public:
  /// The next token's key and value, written at `position`.
  cache next(std::int64_t position) {
    known_cache token =
        known_cache_in(cache_frame(1, {position_map::consecutive(position, 1), {known_specification()}}));
    plain_.push_back(random_keys({1, 2, 1, known_head_dim}, at::kDouble, 1000 + count_++));
    const layer_frame& frame = token.kv.stored().layer(0);
    const at::Tensor written = reference_written(plain_.back(), reference_keys(frame, 2)).to(at::kBFloat16);
    return cache({written}, {written.clone()}, token.kv.stored(), as_written);
  }
  void forget(std::size_t token) { plain_.erase(plain_.begin() + static_cast<std::ptrdiff_t>(token)); }

  /// How far the keys that a view shows are from where complex numbers take them.
  double distance(const cache_view<>& view) const {
    return distance_from_written(view.layer(0).keys(), at::cat(plain_, 2), view.layer(0).frame());
  }

 private:
  std::vector<at::Tensor> plain_;
  std::uint64_t count_ = 0;
};

/// A window of `tokens` at positions from `first` on.
cache streamed_window(streamed_tokens& tokens, std::int64_t count, std::int64_t first) {
  cache window = tokens.next(first);
  for (std::int64_t i = 1; i < count; ++i) {
    window = concat(window.view(), tokens.next(first + i).view());
  }
  return window;
}

/// The distance of keys that were written in bfloat16 and moved once, by `delta`.
double distance_of_one_move(std::int64_t count, std::int64_t first, std::int64_t delta) {
  streamed_tokens tokens;
  cache window = streamed_window(tokens, count, first);
  window.shift(delta);
  window.materialize();
  return tokens.distance(window.view());
}

}  // namespace

TEST_CASE("whatever reads a cache with a move pending reads it moved, and leaves it as it is", "[cache][pending]") {
  const cache pending = moved_but_pending();
  const at::Tensor before = pending.clone().view().layer(0).keys();
  cache made = pending.clone();
  made.materialize();
  require_same_reading(pending.view(), made.view());
  const auto converted = convert<layouts::batch_seq_heads_dim>(pending.view());
  CHECK_FALSE(converted.has_pending_move());
  require_same_reading(cache(converted).view(), made.view());
  const plan read = prepend(pending.view(), {{7}, {8}});
  CHECK(at::equal(read.segments(0).front().kv().keys(), pending.view().layer(0).keys()));
  const temporary_folder folder;
  save_cache(folder.path() / "kv.safetensors", pending);
  const cache_file file = cache_file::open(folder.path() / "kv.safetensors");
  CHECK(at::equal(file.view(any_model).layer(1).keys(), pending.view().layer(1).keys()));
  CHECK(file.frame().has_layers_of(made.stored()));
  CHECK_FALSE(pending.materialized());
  CHECK(pending.stored().roundings() == 0);
  CHECK(at::equal(before, pending.clone().view().layer(0).keys()));
}

TEST_CASE("whatever chooses of a cache hands on the move that is pending, and rounds nothing", "[cache][pending]") {
  const cache pending = moved_but_pending();
  cache made = pending.clone();
  made.materialize();
  const auto check = [&](const std::function<cache(const cache_view<>&)>& choose) {
    cache chosen = choose(pending.view());
    CHECK_FALSE(chosen.materialized());
    CHECK(chosen.stored().roundings() == 0);
    require_same_reading(chosen.view(), choose(made.view()).view());
    chosen.materialize();
    require_same_reading(chosen.view(), choose(made.view()).view());
  };
  check([](const cache_view<>& view) { return cache(view); });
  check([](const cache_view<>& view) { return cache(view.slice(1, 5)); });
  check([](const cache_view<>& view) { return cache(crop(view, {3, 2})); });
  check([](const cache_view<>& view) { return cache(select_layers(view, {1, 0})); });
  check([](const cache_view<>& view) { return select_heads(view, {1}); });
  check([](const cache_view<>& view) { return reorder(view, {1, 0, 1}); });
  check([](const cache_view<>& view) { return gather(view, std::vector<std::int64_t>{5, 2}); });
  check([](const cache_view<>& view) {
    return gather(view, {slot_choice(std::vector<std::int64_t>{5, 2}), slot_choice(std::vector<std::int64_t>{0})});
  });
  check([](const cache_view<>& view) { return select_tokens(view, at::tensor({1, 0, 1, 1, 0, 1}).to(at::kBool)); });
  check([](const cache_view<>& view) {
    return concat(view.slice(0, 2), gather(view, std::vector<std::int64_t>{4, 3}).view());
  });
  check([](const cache_view<>& view) {
    return scatter(view, std::vector<std::int64_t>{3, 2}, gather(view, std::vector<std::int64_t>{2, 3}).view());
  });
}

TEST_CASE("a cache with a move pending and one without are joined with that move pending", "[cache][pending]") {
  known_cache first = known_cache_of(1, 4);
  known_cache second = known_cache_of(1, 3);
  second.kv.shift(4);
  cache joined = concat(first.kv.view(), second.kv.view());
  CHECK_FALSE(joined.materialized());
  CHECK(joined.target().layer(0).positions == position_map::consecutive(0, 7));
  const at::Tensor expected = at::cat({first.kv.view().layer(0).keys(), second.kv.view().layer(0).keys()}, 2);
  CHECK(max_difference(joined.view().layer(0).keys(), expected) < 1e-12);
  joined.materialize();
  CHECK(max_difference(joined.view().layer(0).keys(), expected) < 1e-12);
  second.kv.shift(-3);
  CHECK_THROWS_AS(concat(second.kv.view(), first.kv.view()), frame_error);  // it is the targets that overlap
}

TEST_CASE("a view of keys with a move pending is not to be borrowed or relabelled", "[cache][pending]") {
  const cache pending = moved_but_pending();
  CHECK_THROWS_AS(borrowed_cache(pending.view()), frame_error);
  CHECK_THROWS_AS(pending.view().assume_frame(pending.target()), frame_error);
}

TEST_CASE("every move in place is counted, and those that leave keys where they are are not", "[cache][pending]") {
  known_cache known = known_cache_of(2, 4);
  known.kv.shift(3);
  CHECK(known.kv.view().frame().roundings() == 1);  // of the keys that are read
  CHECK(known.kv.stored().roundings() == 0);
  known.kv.materialize();
  known.kv.materialize();
  known.kv.shift(3);
  known.kv.shift(-3);
  known.kv.materialize();
  CHECK(known.kv.view().frame().roundings() == 1);
  known.kv.reframe({known_specification(), known_specification(1.5)});
  known.kv.materialize();
  CHECK(known.kv.view().frame().layer(0).roundings == 1);
  CHECK(known.kv.view().frame().layer(1).roundings == 2);
  borrowed_cache borrowed(known.kv.view());
  borrowed.shift(1);
  CHECK(borrowed.frame().roundings() == 3);
}

TEST_CASE("a layer of padding alone is never moved, nor counted as if it were", "[cache][pending]") {
  const layer_frame keys{position_map::consecutive(0, 3), {known_specification()}};
  const layer_frame padding{position_map(position_row::consecutive(0, 3, slot_state::padding())),
                            {known_specification()}};
  cache kv = known_cache_in(
                 cache_frame({std::make_shared<const layer_frame>(keys), std::make_shared<const layer_frame>(padding)}))
                 .kv;
  const at::Tensor before = kv.view().layer(1).keys().clone();
  kv.shift(3);
  kv.reframe({known_specification(1.5), known_specification(1.5)});
  kv.materialize();
  CHECK(kv.materialized());
  CHECK(kv.view().frame().layer(0).roundings == 1);
  CHECK(kv.view().frame().layer(1).roundings == 0);
  CHECK(kv.view().layer(1).keys().equal(before));
}

TEST_CASE("a thousand evictions that close the gap cost the rounding of one move", "[cache][pending]") {
  constexpr std::int64_t window = 32;
  constexpr std::int64_t sinks = 4;
  streamed_tokens tokens;
  cache kv = streamed_window(tokens, window, 0);
  std::vector<std::int64_t> kept;
  for (std::int64_t slot = 0; slot < window; ++slot) {
    if (slot != sinks) {
      kept.push_back(slot);
    }
  }
  for (int eviction = 0; eviction < 1000; ++eviction) {
    kv = gather(kv.view(), kept);
    kv.close_gaps();
    tokens.forget(sinks);
    kv.view().layer(0).keys();  // as a model would read them
    kv = concat(kv.view(), tokens.next(window - 1).view());
  }
  CHECK(kv.view().frame().layer(0).positions == position_map::consecutive(0, window));
  CHECK(kv.view().frame().roundings() == 1);
  CHECK(tokens.distance(kv.view()) <= 2 * distance_of_one_move(window, window, -window));
}

TEST_CASE("three thousand moves by one cost the rounding of one, and in place as much as the frame says",
          "[cache][pending]") {
  streamed_tokens tokens;
  cache kv = streamed_window(tokens, 32, 0);
  borrowed_cache in_place(convert<layouts::batch_heads_seq_dim>(kv.view()));
  for (int move = 0; move < 3000; ++move) {
    kv.shift(1);
    in_place.shift(1);
    if (move % 100 == 0) {
      kv.view().layer(0).keys();
    }
  }
  const double one = distance_of_one_move(32, 0, 3000);
  CHECK(kv.view().frame().roundings() == 1);
  CHECK(tokens.distance(kv.view()) <= 2 * one);
  CHECK(in_place.frame().roundings() == 3000);
  CHECK(tokens.distance(in_place.view()) > 2 * one);  // or the test could not tell
  CHECK(tokens.distance(in_place.view()) <= in_place.frame().rounding_bound() * one);
}

TEST_CASE("keys that are kept without rotation are rotated once for every reading, however often", "[cache][pending]") {
  streamed_tokens tokens;
  cache kv = streamed_window(tokens, 32, 0);
  kv.unrotate();
  kv.materialize();
  const std::vector<rotary_specification> written{known_specification()};
  for (int move = 0; move < 300; ++move) {
    kv.shift(1);
    cache read = kv.clone();
    read.rotate(written);
    CHECK(read.view().frame().roundings() == 2);  // of unrotating, and of this reading
  }
  kv.rotate(written);
  CHECK(tokens.distance(kv.view()) <= 2 * distance_of_one_move(32, 0, 300));
}
