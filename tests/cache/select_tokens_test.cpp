#include "kvtransfer/cache/select_tokens.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <utility>
#include <vector>

#include "cache/layout_cases.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Every third slot or so, others in each row and head.
at::Tensor some_marks(std::int64_t kv_heads) {
  return at::arange(reference_batch * kv_heads * reference_seq, at::kLong)
      .view({reference_batch, kv_heads, reference_seq})
      .remainder(7)
      .lt(3);
}

void check_selections(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const at::Tensor marks = some_marks(reference.layer(0).extents().kv_heads);
    for (const at::Tensor& kept : {marks, marks.select(1, 0), marks[1][0]}) {
      require_same(select_tokens(view, kept).view(), select_tokens(reference, kept).view());
    }
  });
}

}  // namespace

TEST_CASE("a selection of tokens in any layout is the selection of the cache", "[cache][select_tokens]") {
  check_selections(at::kCPU);
}

TEST_CASE("a selection of tokens in any layout is the selection of the cache, on a GPU",
          "[cache][select_tokens][cuda]") {
  if (cuda_available()) {
    check_selections(at::kCUDA);
  }
}

TEST_CASE("marked tokens stay in order, and rows with fewer are padded on the left", "[cache][select_tokens]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  at::Tensor kept = at::zeros({reference_batch, reference_seq}, at::kBool);
  for (const auto& [row, slot] : {std::pair{0, 2}, {0, 5}, {0, 6}, {1, 10}}) {
    kept[row][slot] = true;
  }
  const cache chosen = select_tokens(source.view(), kept);
  CHECK(chosen.length() == 3);
  CHECK(at::equal(chosen.view().layer(1).keys()[0],
                  source.keys[1][0].index_select(1, integer_tensor({2, 5, 6}, at::kCPU))));
  CHECK(at::equal(chosen.view().layer(1).values()[1].select(1, 2), source.values[1][1].select(1, 10)));
  const position_map& positions = chosen.view().frame().layer(0).positions;
  CHECK(positions.row(0, 0, 0) == position_row::listed({7, 10, 11}));
  CHECK(positions.row(0, 1, 0).key_count() == 1);
  CHECK(positions.row(0, 1, 0).slice(2, 3) == position_row::listed({115}));
  CHECK(positions.row(0, 2, 0).key_count() == 0);
  CHECK(chosen.view().frame().token_ids()[1] == std::vector<std::int64_t>{-1, -1, 1010});
}

TEST_CASE("marks of another shape are refused", "[cache][select_tokens]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  CHECK_THROWS_AS(select_tokens(source.view(), at::zeros({reference_seq}, at::kLong)), shape_error);
  CHECK_THROWS_AS(select_tokens(source.view(), at::zeros({reference_seq + 1}, at::kBool)), shape_error);
  CHECK_THROWS_AS(select_tokens(source.view(), at::ones({2, reference_seq}, at::kBool)), shape_error);
}
