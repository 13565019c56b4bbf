#include "kvtransfer/rope/turn_rows.hpp"

#include <ATen/ops/equal.h>

#include <vector>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Turns some rows by a table, and the same rows copied out: both hold the same, and the other rows what they held.
void check_rows(const std::vector<std::int64_t>& rows, const rope::turning& turning, at::Device device) {
  const at::Tensor storage = random_keys({7, 2, 4, 8}).to(device);
  const at::Tensor another = random_keys({7, 4, 2, 8}, at::kFloat, 8).to(device).transpose(1, 2);
  const at::Tensor index = integer_tensor(rows, device);
  std::vector<at::Tensor> expected;
  for (const at::Tensor& layer : {storage, another}) {
    const at::Tensor meant = layer.index_select(0, index);
    rope::turn_({meant}, turning);
    expected.push_back(layer.clone());
    expected.back().index_copy_(0, index, meant);
  }
  rope::turn_rows_({storage, another}, rows, turning);
  CHECK(at::equal(storage, expected[0]));
  CHECK(at::equal(another, expected[1]));
}

void check_all_rows(at::Device device) {
  const rotary_specification specification = plain_specification(8);
  for (const std::vector<std::int64_t>& rows :
       {std::vector<std::int64_t>{5, 1, 2}, {2, 3, 4}, {6}, {0, 1, 2, 3, 4, 5, 6}}) {
    check_rows(rows, {.delta = 5, .to_specification = specification}, device);
    const auto count = static_cast<std::int64_t>(rows.size());
    const at::Tensor from = random_positions({1, count, 1, 4}, 1000).to(device);
    check_rows(rows,
               {.from = from, .to = from + 17, .from_specification = specification, .to_specification = specification},
               device);
  }
}

}  // namespace

TEST_CASE("rows named by a table turn like rows copied out, and no others do", "[rope][turn_rows]") {
  check_all_rows(at::kCPU);
}

TEST_CASE("rows named by a table turn on a GPU", "[rope][turn_rows][cuda]") {
  if (cuda_available()) {
    check_all_rows(at::kCUDA);
  }
}

TEST_CASE("no rows are nothing to turn", "[rope][turn_rows]") {
  const at::Tensor storage = random_keys({7, 2, 4, 8});
  const at::Tensor before = storage.clone();
  rope::turn_rows_({storage}, {}, {.delta = 5, .to_specification = plain_specification(8)});
  CHECK(at::equal(storage, before));
}

TEST_CASE("rows and positions that do not fit the storage are refused", "[rope][turn_rows]") {
  const at::Tensor storage = random_keys({7, 2, 4, 8});
  const rope::turning shift{.delta = 5, .to_specification = plain_specification(8)};
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {7}, shift), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {-1, 2}, shift), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {2, 2}, shift), shape_error);
  const rope::turning placed{.to = random_positions({1, 3, 1, 4}), .to_specification = plain_specification(8)};
  CHECK_THROWS_AS(rope::turn_rows_({storage}, {1, 5}, placed), shape_error);
  CHECK_THROWS_AS(rope::turn_rows_({storage.clone().requires_grad_()}, {1}, shift), value_error);
}
