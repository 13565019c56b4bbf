#include "kvtransfer/rope/rotate_blocks.hpp"

#include <ATen/ops/equal.h>

#include <vector>

#include "kvtransfer/tensor/integers.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Rotates some blocks by a table, and the same blocks copied out: both hold the same, and other blocks what they held.
void check_blocks(const std::vector<std::int64_t>& blocks, const rope::rotation& rotation, at::Device device) {
  const at::Tensor storage = random_keys({7, 2, 4, 8}).to(device);
  const at::Tensor another = random_keys({7, 4, 2, 8}, at::kFloat, 8).to(device).transpose(1, 2);
  const at::Tensor index = integer_tensor(blocks, device);
  std::vector<at::Tensor> expected;
  for (const at::Tensor& layer : {storage, another}) {
    const at::Tensor meant = layer.index_select(0, index);
    rope::rotate_keys_({meant}, rotation);
    expected.push_back(layer.clone());
    expected.back().index_copy_(0, index, meant);
  }
  rope::rotate_blocks_({storage, another}, blocks, rotation);
  CHECK(at::equal(storage, expected[0]));
  CHECK(at::equal(another, expected[1]));
}

void check_all_blocks(at::Device device) {
  const rotary_specification specification = plain_specification(8);
  for (const std::vector<std::int64_t>& blocks :
       {std::vector<std::int64_t>{5, 1, 2}, {2, 3, 4}, {6}, {0, 1, 2, 3, 4, 5, 6}}) {
    check_blocks(blocks, {.delta = 5, .to_specification = specification}, device);
    const auto count = static_cast<std::int64_t>(blocks.size());
    const at::Tensor from = random_positions({1, count, 1, 4}, 1000).to(device);
    check_blocks(
        blocks, {.from = from, .to = from + 17, .from_specification = specification, .to_specification = specification},
        device);
  }
}

}  // namespace

TEST_CASE("blocks named by a table rotate like blocks copied out, and no others do", "[rope][rotate_blocks]") {
  check_all_blocks(at::kCPU);
}

TEST_CASE("blocks named by a table rotate on a GPU", "[rope][rotate_blocks][cuda]") {
  if (cuda_available()) {
    check_all_blocks(at::kCUDA);
  }
}

TEST_CASE("no blocks are nothing to rotate", "[rope][rotate_blocks]") {
  const at::Tensor storage = random_keys({7, 2, 4, 8});
  const at::Tensor before = storage.clone();
  rope::rotate_blocks_({storage}, {}, {.delta = 5, .to_specification = plain_specification(8)});
  CHECK(at::equal(storage, before));
}

TEST_CASE("blocks and positions that do not fit the storage are refused", "[rope][rotate_blocks]") {
  const at::Tensor storage = random_keys({7, 2, 4, 8});
  const rope::rotation shift{.delta = 5, .to_specification = plain_specification(8)};
  CHECK_THROWS_AS(rope::rotate_blocks_({storage}, {7}, shift), shape_error);
  CHECK_THROWS_AS(rope::rotate_blocks_({storage}, {-1, 2}, shift), shape_error);
  CHECK_THROWS_AS(rope::rotate_blocks_({storage}, {2, 2}, shift), shape_error);
  const rope::rotation placed{.to = random_positions({1, 3, 1, 4}), .to_specification = plain_specification(8)};
  CHECK_THROWS_AS(rope::rotate_blocks_({storage}, {1, 5}, placed), shape_error);
  CHECK_THROWS_AS(rope::rotate_blocks_({storage.clone().requires_grad_()}, {1}, shift), value_error);
}
