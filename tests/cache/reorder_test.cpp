#include "kvtransfer/cache/reorder.hpp"

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

void check_orders(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const cache found = reorder(view, {2, 0, 2, 1});
    require_same(found.view(), reorder(reference, {2, 0, 2, 1}).view());
    REQUIRE(at::equal(found.view().layer(1).keys()[2], reference.layer(1).keys()[2]));
    REQUIRE(at::equal(found.view().layer(0).values()[1], reference.layer(0).values()[0]));
  });
}

}  // namespace

TEST_CASE("sequences in another order are the same rows in any layout", "[cache][reorder]") { check_orders(at::kCPU); }

TEST_CASE("sequences in another order are the same rows in any layout, on a GPU", "[cache][reorder][cuda]") {
  if (cuda_available()) {
    check_orders(at::kCUDA);
  }
}

TEST_CASE("rows take positions, padding and tokens with them", "[cache][reorder]") {
  for (const padding_side side : every_side) {
    const reference_cache source = reference_in(at::kFloat, side, at::kCPU, 2);
    const cache_frame frame = reorder(source.view(), {1, 1}).view().frame();
    CHECK(frame.layer(0).positions.batch() == 2);
    CHECK(frame.layer(0).positions.row(0, 0, 1) == source.frame.layer(0).positions.row(0, 1, 1));
    CHECK(frame.token_ids()[1] == source.frame.token_ids()[1]);
    CHECK(frame.model() == source.frame.model());
  }
}

TEST_CASE("rows that do not exist are refused", "[cache][reorder]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK_THROWS_AS(reorder(source.view(), {3}), shape_error);
  CHECK_THROWS_AS(reorder(source.view(), {-1}), shape_error);
  CHECK_THROWS_AS(reorder(source.view(), {}), shape_error);
}
