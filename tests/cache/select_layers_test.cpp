#include "kvtransfer/cache/select_layers.hpp"

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("selected layers in any layout are the layers named, where they lie", "[cache][select_layers]") {
  for_each_case(at::kCPU, [](const cache_view<>& reference, const auto& view) {
    const auto found = select_layers(view, {1, 0, 1});
    require_same(found, select_layers(reference, {1, 0, 1}));
    REQUIRE(found.layer(0).stored_keys().data_ptr() == view.layer(1).stored_keys().data_ptr());
    REQUIRE(at::equal(found.layer(1).keys(), reference.layer(0).keys()));
    REQUIRE(at::equal(found.layer(2).values(), reference.layer(1).values()));
  });
}

TEST_CASE("layers in another order are no cache of the model that wrote them", "[cache][select_layers]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK(select_layers(source.view(), {0}).frame().model().digest.empty());
  CHECK(select_layers(source.view(), {0, 1}).frame().token_ids() == source.frame.token_ids());
  CHECK(select_layers(source.view(), {1}).frame().token_ids() == source.frame.token_ids());
  CHECK_FALSE(select_layers(source.view(), {1}).frame().assumed());
  CHECK(select_layers(source.view().assume_frame(source.frame), {1}).frame().assumed());
  CHECK(select_layers(source.view(), {}).layers() == 0);
}

TEST_CASE("layers that do not exist are refused", "[cache][select_layers]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK_THROWS_AS(select_layers(source.view(), {2}), shape_error);
  CHECK_THROWS_AS(select_layers(source.view(), {0, -1}), shape_error);
}

TEST_CASE("edits of layers that are left out are gone, and the rest are known by their new places",
          "[cache][select_layers]") {
  const auto noise = [](std::vector<std::int64_t> layers) {
    return cache_edit{edit_kind::noise, cache_half::keys, std::move(layers), {}, {{0, 2}}, "seed 1"};
  };
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  cache_frame frame = source.frame;
  frame.add_edit(noise({1}));
  const cache_view<> view = cache_view<>(source.keys, source.values, frame, as_written);
  CHECK((select_layers(view, {1, 0, 1}).frame().edits() == std::vector{noise({0, 2})}));
  CHECK(select_layers(view, {0}).frame().edits().empty());
}
