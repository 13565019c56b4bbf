#include "kvtransfer/cache/select_heads.hpp"

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

void check_heads(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const std::int64_t last = reference.layer(0).extents().kv_heads - 1;
    const cache found = select_heads(view, {last, 0, last});
    require_same(found.view(), select_heads(reference, {last, 0, last}).view());
    REQUIRE(at::equal(found.view().layer(1).keys().select(1, 0), reference.layer(1).keys().select(1, last)));
    REQUIRE(at::equal(found.view().layer(1).values().select(1, 1), reference.layer(1).values().select(1, 0)));
  });
}

}  // namespace

TEST_CASE("selected heads in any layout are the heads named", "[cache][select_heads]") { check_heads(at::kCPU); }

TEST_CASE("selected heads in any layout are the heads named, on a GPU", "[cache][select_heads][cuda]") {
  if (cuda_available()) {
    check_heads(at::kCUDA);
  }
}

TEST_CASE("heads take their own positions with them", "[cache][select_heads]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left, at::kCPU, 2);
  const cache_frame swapped = select_heads(source.view(), {1, 0}).view().frame();
  CHECK(swapped.layer(0).positions.row(0, 1, 0) == source.frame.layer(0).positions.row(0, 1, 1));
  CHECK(swapped.layer(1).positions.row(0, 2, 1) == source.frame.layer(1).positions.row(0, 2, 0));
  CHECK(select_heads(source.view(), {1}).view().frame().layer(0).positions.heads() == 1);
}

TEST_CASE("selected heads are no cache of the model that wrote them", "[cache][select_heads]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK(select_heads(source.view(), {0, 1}).view().frame().model().digest.empty());
  CHECK(select_heads(source.view(), {1}).view().frame().token_ids() == source.frame.token_ids());
}

TEST_CASE("heads that do not exist are refused", "[cache][select_heads]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK_THROWS_AS(select_heads(source.view(), {2}), shape_error);
  CHECK_THROWS_AS(select_heads(source.view(), {-1}), shape_error);
  CHECK_THROWS_AS(select_heads(source.view(), {}), shape_error);
}

TEST_CASE("edits of heads that are left out are gone", "[cache][select_heads]") {
  const auto noise = [](std::vector<std::int64_t> heads) {
    return cache_edit{edit_kind::noise, cache_half::keys, {0, 1}, std::move(heads), {{0, 2}}, "seed 1"};
  };
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  cache_frame frame = source.frame;
  frame.add_edit(noise({1}));
  frame.add_edit(noise({}));
  const cache_view<> view = cache_view<>(source.keys, source.values, frame, as_written);
  CHECK((select_heads(view, {1, 0}).view().frame().edits() == std::vector{noise({0}), noise({})}));
  CHECK((select_heads(view, {0}).view().frame().edits() == std::vector{noise({})}));
}
