#include "kvtransfer/cache/slot_choice.hpp"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("a choice is shared by rows and heads, or theirs", "[cache][slot_choice]") {
  const slot_choice shared(std::vector<std::int64_t>{4, -1});
  CHECK(shared.count() == 2);
  CHECK(shared.at(7, 7, 0) == 4);
  CHECK(shared.has_padding());
  CHECK_FALSE(shared.by_sequence());
  CHECK_FALSE(shared.by_head());
  const slot_choice by_sequence(at::tensor({1, 2, 3, 4}, at::kInt).view({2, 2}));
  CHECK(by_sequence.by_sequence());
  CHECK(by_sequence.at(1, 5, 0) == 3);
  const slot_choice by_head(at::tensor({1, 2, 3, 4}, at::kLong).view({1, 2, 2}));
  CHECK(by_head.by_head());
  CHECK(by_head.heads() == 2);
  CHECK(by_head.at(5, 1, 1) == 4);
  CHECK_FALSE(by_head.has_padding());
}

TEST_CASE("a choice of nothing is a choice", "[cache][slot_choice]") {
  const slot_choice none(std::vector<std::int64_t>{});
  CHECK(none.count() == 0);
  CHECK_FALSE(none.has_padding());
  CHECK_NOTHROW(none.require_within({1, 1, 0, 8}, "test"));
}

TEST_CASE("choices outside a layer are refused", "[cache][slot_choice]") {
  const cache_extents extents{2, 3, 5, 8};
  CHECK_NOTHROW(slot_choice(std::vector<std::int64_t>{4, -1}).require_within(extents, "test"));
  CHECK_THROWS_AS(slot_choice(std::vector<std::int64_t>{5}).require_within(extents, "test"), shape_error);
  CHECK_THROWS_AS(slot_choice(std::vector<std::int64_t>{-2}).require_within(extents, "test"), shape_error);
  CHECK_THROWS_AS(slot_choice(at::zeros({3, 1}, at::kLong)).require_within(extents, "test"), shape_error);
  CHECK_THROWS_AS(slot_choice(at::zeros({2, 2, 1}, at::kLong)).require_within(extents, "test"), shape_error);
}

TEST_CASE("what is no list of slots is refused", "[cache][slot_choice]") {
  CHECK_THROWS_AS(slot_choice(at::Tensor()), shape_error);
  CHECK_THROWS_AS(slot_choice(at::zeros({2}, at::kFloat)), shape_error);
  CHECK_THROWS_AS(slot_choice(at::zeros({1, 1, 1, 1}, at::kLong)), shape_error);
}
