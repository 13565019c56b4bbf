#include "kvtransfer/cache/slice.hpp"

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

void check_slices(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    require_same(slice(view, 2, 9), reference.slice(2, 9));
    require_same(slice(slice(view, 1, 10), 3, 3), reference.slice(4, 4));
    require_same(slice(view, 0, reference_seq), reference);
  });
}

}  // namespace

TEST_CASE("a slice in any layout is the slice of the cache", "[cache][slice]") { check_slices(at::kCPU); }

TEST_CASE("a slice in any layout is the slice of the cache, on a GPU", "[cache][slice][cuda]") {
  if (cuda_available()) {
    check_slices(at::kCUDA);
  }
}

TEST_CASE("a slice copies nothing", "[cache][slice]") {
  for_each_layout(reference_in(at::kFloat, padding_side::left), [](const auto& view) {
    const auto part = slice(view, 3, 8);
    CHECK(part.layer(1).stored_keys().storage().data() == view.layer(1).stored_keys().storage().data());
    CHECK(part.layer(1).stored_values().storage().data() == view.layer(1).stored_values().storage().data());
  });
}

TEST_CASE("a slice of slots that do not exist is refused", "[cache][slice]") {
  for_each_layout(reference_in(at::kFloat, padding_side::left), [](const auto& view) {
    CHECK_THROWS_AS(slice(view, 5, 12), shape_error);
    CHECK_THROWS_AS(slice(view, 5, 4), shape_error);
    CHECK_THROWS_AS(slice(view, -1, 4), shape_error);
  });
}
