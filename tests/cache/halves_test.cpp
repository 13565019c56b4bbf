#include "kvtransfer/cache/halves.hpp"

#include <memory>
#include <utility>
#include <vector>

#include "cache/known_cache.hpp"
#include "kvtransfer/cache/scatter.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Two layers of three tokens from `first` on, of text `token_ids`.
cache three_tokens(std::int64_t first, std::vector<std::int64_t> token_ids, const std::string& model = "model a") {
  cache_frame frame(2, {position_map::consecutive(first, 3), {known_specification()}});
  frame.set_token_ids({std::move(token_ids)});
  frame.set_origin(model_identity{model});
  return known_cache_in(frame).kv;
}

cache one_row(position_row row) {
  return known_cache_in(cache_frame(1, {position_map(row), {known_specification()}})).kv;
}

}  // namespace

TEST_CASE("keys of one cache and values of another are shown where they lie", "[cache][halves]") {
  const cache addresses = three_tokens(7, {1, 2, 3});
  const cache contents = three_tokens(0, {1, 2, 3});
  const cache_view<> mixed = keys_with_values_of(addresses.view(), contents.view());
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(mixed.layer(i).keys().data_ptr() == addresses.view().layer(i).keys().data_ptr());
    CHECK(mixed.layer(i).values().data_ptr() == contents.view().layer(i).values().data_ptr());
  }
  CHECK(mixed.frame().has_layers_of(addresses.view().frame()));
  CHECK(mixed.frame().token_ids() == addresses.view().frame().token_ids());
}

TEST_CASE("a mixture of two texts has no text", "[cache][halves]") {
  const cache addresses = three_tokens(0, {1, 2, 3});
  const cache contents = three_tokens(0, {1, 2, 4});
  const cache_view<> mixed = keys_with_values_of(addresses.view(), contents.view());
  CHECK(mixed.frame().token_ids().empty());
  CHECK(mixed.frame().model().digest == "model a");
}

TEST_CASE("a mixture is assumed if either half is", "[cache][halves]") {
  const cache source = three_tokens(0, {1, 2, 3});
  cache relabelled = three_tokens(0, {1, 2, 3});
  relabelled.assume_frame(relabelled.view().frame());
  CHECK(keys_with_values_of(source.view(), relabelled.view()).frame().assumed());
  CHECK(keys_with_values_of(relabelled.view(), source.view()).frame().assumed());
  CHECK_FALSE(keys_with_values_of(source.view(), source.view()).frame().assumed());
}

TEST_CASE("another cache's values are an edit, a cache's own are none", "[cache][halves]") {
  const cache source = three_tokens(0, {1, 2, 3});
  const cache other = three_tokens(0, {4, 5, 6});
  CHECK(keys_with_values_of(source.view(), source.view()).frame() == source.view().frame());
  CHECK((keys_with_values_of(source.view(), other.view()).frame().edits() ==
         std::vector<cache_edit>{
             {edit_kind::half, cache_half::values, {0, 1}, {}, {{0, 3}}, "a cache of model model a"}}));
}

TEST_CASE("each half brings its own edits", "[cache][halves]") {
  const cache source = three_tokens(0, {1, 2, 3});
  const cache noise = moment_matched_noise(source.view(), 1);
  const auto edits = [](const cache_view<>& mixed) {
    std::vector<std::pair<edit_kind, cache_half>> found;
    for (const cache_edit& edit : mixed.frame().edits()) {
      found.emplace_back(edit.kind, edit.half);
    }
    return found;
  };
  const std::pair noisy_keys(edit_kind::noise, cache_half::keys);
  const std::pair noisy_values(edit_kind::noise, cache_half::values);
  const std::pair half(edit_kind::half, cache_half::values);
  CHECK((edits(keys_with_values_of(noise.view(), source.view())) == std::vector{noisy_keys, half}));
  CHECK((edits(keys_with_values_of(source.view(), noise.view())) == std::vector{noisy_values, half}));
}

TEST_CASE("halves of different shapes are refused", "[cache][halves]") {
  const cache source = known_cache_of(2, 3).kv;
  CHECK_THROWS_AS(keys_with_values_of(source.view(), known_cache_of(1, 3).kv.view()), shape_error);
  CHECK_THROWS_AS(keys_with_values_of(source.view(), known_cache_of(2, 4).kv.view()), shape_error);
  CHECK_THROWS_AS(keys_with_values_of(source.view(), known_cache_of(2, 3, 2).kv.view()), shape_error);
}

TEST_CASE("halves of two models are refused", "[cache][halves]") {
  CHECK(message_of<frame_error>([] {
          keys_with_values_of(three_tokens(0, {1, 2, 3}).view(), three_tokens(0, {1, 2, 3}, "model b").view());
        }) == "keys_with_values_of: model: expected digest model a, got digest model b");
}

TEST_CASE("a key is not given the value of padding, nor padding to a value", "[cache][halves]") {
  position_row padded = position_row::consecutive(0, 1, slot_state::padding());
  padded.append(position_row::consecutive(0, 2));
  const cache keys_only = one_row(position_row::consecutive(0, 3));
  const cache with_padding = one_row(padded);
  CHECK_THAT(message_of<frame_error>([&] { keys_with_values_of(keys_only.view(), with_padding.view()); }),
             EndsWith("got padding at slot 0 of row 0 beside a key"));
  CHECK_THROWS_AS(keys_with_values_of(with_padding.view(), keys_only.view()), frame_error);
  CHECK_NOTHROW(keys_with_values_of(with_padding.view(), one_row(padded.shifted(5)).view()));
}

TEST_CASE("a mixture of halves, or of slots, is taken for its model's by the weaker of two reasons",
          "[cache][halves]") {
  const auto taken_by = [](origin_basis basis) {
    cache_frame frame(2, {position_map::consecutive(0, 3), {known_specification()}});
    frame.set_origin(cache_origin(std::make_shared<const model_identity>(model_identity{"model a"}), basis));
    return known_cache_in(frame).kv;
  };
  const cache recorded = taken_by(origin_basis::recorded);
  const slot_choice all(std::vector<std::int64_t>{0, 1, 2});
  for (const origin_basis basis : {origin_basis::same_weights, origin_basis::unknown_origin}) {
    const cache assumed = taken_by(basis);
    for (const auto& [first, second] : {std::pair(&recorded, &assumed), std::pair(&assumed, &recorded)}) {
      CHECK(keys_with_values_of(first->view(), second->view()).frame().origin().basis() == basis);
      CHECK(scatter(first->view(), all, second->view()).view().frame().origin().basis() == basis);
    }
  }
}
