#include "kvtransfer/cache/crop.hpp"

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Visible keys of a row and head in the first layer.
std::int64_t keys_left(const cache_frame& frame, std::int64_t batch, std::int64_t head = 0) {
  return frame.layer(0).positions.row(0, batch, head).key_count();
}

void check_crops(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    require_same(crop(view, 6), reference.slice(0, 6));
    const std::vector<std::int64_t> lengths = {4, 2, 100};
    const auto found = crop(view, lengths);
    const cache_view<> expected = crop(reference, lengths);
    REQUIRE(found.frame() == expected.frame());
    REQUIRE(keys_left(found.frame(), 0) == 4);
    REQUIRE(keys_left(found.frame(), 1) == 2);
    REQUIRE(keys_left(found.frame(), 2) == keys_left(reference.frame(), 2));
    REQUIRE(at::equal(found.layer(1).keys(), expected.layer(1).keys()));
  });
}

}  // namespace

TEST_CASE("a crop in any layout is the crop of the cache", "[cache][crop]") { check_crops(at::kCPU); }

TEST_CASE("a crop in any layout is the crop of the cache, on a GPU", "[cache][crop][cuda]") {
  if (cuda_available()) {
    check_crops(at::kCUDA);
  }
}

TEST_CASE("rows cropped to lengths of their own keep their first keys, wherever padding is", "[cache][crop]") {
  for (const padding_side side : every_side) {
    const reference_cache whole = reference_in(at::kFloat, side);
    const cache_view<> part = crop(whole.view(), {5, 5, 1});
    for (std::int64_t b = 0; b < reference_batch; ++b) {
      const std::vector<std::int64_t> before = slots_with_keys(whole.frame, b);
      const std::vector<std::int64_t> after = slots_with_keys(part.frame(), b);
      CHECK(after == std::vector<std::int64_t>(before.begin(), before.begin() + (b == 2 ? 1 : 5)));
      CHECK(part.frame().token_ids()[static_cast<std::size_t>(b)][static_cast<std::size_t>(after.front())] ==
            whole.frame.token_ids()[static_cast<std::size_t>(b)][static_cast<std::size_t>(after.front())]);
    }
  }
}

TEST_CASE("slots that no row needs go, and what became padding has no token", "[cache][crop]") {
  const reference_cache whole = reference_in(at::kFloat, padding_side::none);
  const cache_view<> part = crop(whole.view(), {2, 4, 0});
  CHECK(part.size() == 4);
  CHECK(part.frame().token_ids()[0] == std::vector<std::int64_t>{0, 1, -1, -1});
  CHECK(part.frame().token_ids()[2] == std::vector<std::int64_t>{-1, -1, -1, -1});
  CHECK(crop(whole.view(), {0, 0, 0}).size() == 0);
}

TEST_CASE("crops that do not fit are refused", "[cache][crop]") {
  const reference_cache whole = reference_in(at::kFloat, padding_side::none);
  CHECK_THROWS_AS(crop(whole.view(), 12), shape_error);
  CHECK_THROWS_AS(crop(whole.view(), std::vector<std::int64_t>{1, 2}), shape_error);
  CHECK_THROWS_AS(crop(whole.view(), std::vector<std::int64_t>{1, 2, -1}), shape_error);
}
