#include <ATen/ops/tensor.h>

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;
using layouts::block_slots;

TEST_CASE("a block table says where each token lies", "[tensor][layouts][block_slots]") {
  const at::Tensor table = at::tensor({5, 2, 3, 0}, at::kInt).view({2, 2});
  const layouts::slot_table slots = block_slots(table, at::tensor({3, 2}, at::kInt), 2);
  CHECK(slots.seq() == 3);
  CHECK(slots.block_size() == 2);
  CHECK(slots.places(2) == std::vector<std::int64_t>{10, 11, 4, 6, 7, -1});
}

TEST_CASE("FlashInfer's lists say the same as the table", "[tensor][layouts][block_slots]") {
  const at::Tensor indices = at::tensor({5, 2, 3}, at::kInt);
  const layouts::slot_table slots =
      block_slots(at::tensor({0, 2, 2, 3}, at::kInt), indices, at::tensor({1, 0, 2}, at::kInt), 2);
  CHECK(slots.places(2) == std::vector<std::int64_t>{10, 11, 4, -1, -1, -1, 6, 7, -1});
}

TEST_CASE("keys behind padding fill blocks from the first slot on", "[tensor][layouts][block_slots]") {
  position_row row = position_row::consecutive(0, 3, slot_state::padding());
  row.append({7, 3, 1});
  const layouts::slot_table slots = block_slots(position_map(row), at::tensor({4, 1}, at::kLong).view({1, 2}), 2);
  CHECK(slots.places(2) == std::vector<std::int64_t>{-1, -1, -1, 8, 9, 2});
}

TEST_CASE("a block that is gone stores nothing", "[tensor][layouts][block_slots]") {
  const layouts::slot_table slots =
      block_slots(at::tensor({-1, 1}, at::kInt).view({1, 2}), at::tensor({3}, at::kInt), 2);
  CHECK(slots.places(2) == std::vector<std::int64_t>{-1, -1, 2});
}

TEST_CASE("lists that do not fit each other are refused", "[tensor][layouts][block_slots]") {
  const at::Tensor table = at::tensor({5, 2, 3, 0}, at::kInt).view({2, 2});
  CHECK(message_of<shape_error>([&] { block_slots(table, at::tensor({5, 2}, at::kInt), 2); }) ==
        "block_slots: blocks of sequence 0: expected more than 2 of 2 slots, got 5 tokens and more");
  CHECK_THROWS_AS(block_slots(table, at::tensor({3}, at::kInt), 2), shape_error);
  CHECK_THROWS_AS(block_slots(table, at::tensor({3, -1}, at::kInt), 2), shape_error);
  CHECK_THROWS_AS(block_slots(table, at::tensor({3, 2}, at::kInt), 0), shape_error);
  CHECK_THROWS_AS(block_slots(table.flatten(), at::tensor({3, 2}, at::kInt), 2), shape_error);
  CHECK_THROWS_AS(block_slots(position_map::consecutive(0, 3), table, 2), shape_error);
  const at::Tensor indices = at::tensor({5, 2, 3}, at::kInt);
  const auto listed = [&](at::ArrayRef<int> indptr, at::ArrayRef<int> last) {
    block_slots(at::tensor(indptr, at::kInt), indices, at::tensor(last, at::kInt), 2);
  };
  CHECK_THROWS_AS(listed({0, 2}, {1, 1}), shape_error);
  CHECK_THROWS_AS(listed({0, 4}, {1}), shape_error);
  CHECK_THROWS_AS(listed({2, 1}, {1}), shape_error);
  CHECK_THROWS_AS(listed({0, 2}, {3}), shape_error);
  CHECK_THROWS_AS(listed({0, 2}, {0}), shape_error);
}
