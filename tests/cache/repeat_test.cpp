#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/reorder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a repeated batch in any layout has every row side by side with its copies", "[cache][repeat]") {
  for_each_case(at::kCPU, [](const cache_view<>& reference, const auto& view) {
    const cache found = repeat(view, 2);
    require_same(found.view(), reorder(reference, {0, 0, 1, 1, 2, 2}).view());
    require_same(repeat(view, 1).view(), reference);
  });
}

TEST_CASE("a batch cannot be repeated less than once", "[cache][repeat]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  CHECK_THROWS_AS(repeat(source.view(), 0), value_error);
}
