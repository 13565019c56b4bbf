#include "kvtransfer/tensor/layouts/paged.hpp"

#include <ATen/ops/tensor.h>

#include <vector>

#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/split_keys_values.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Rows of five and two tokens in blocks of four.
layouts::slot_table five_and_two() {
  return layouts::block_slots(at::tensor({3, 1, 0, 0}, at::kInt).view({2, 2}), at::tensor({5, 2}, at::kInt), 4);
}

}  // namespace

TEST_CASE("blocks of vLLM's tensor are read in the order of the table", "[tensor][layouts][paged]") {
  const at::Tensor joined = random_keys({2, 5, 4, 2, 8});
  const keys_and_values halves = split_keys_values({joined}, 0);
  const layouts::storage plain = layouts::lower(layouts::paged_nhd{five_and_two()}, halves.values[0], "test", "values");
  CHECK(plain.extents() == cache_extents{2, 2, 5, 8});
  const at::Tensor read = layouts::canonical(plain);
  CHECK(at::equal(read[0][1][2], joined[1][3][2][1]));
  CHECK(at::equal(read[0][0][4], joined[1][1][0][0]));
  CHECK(at::equal(read[1][1][1], joined[1][0][1][1]));
  CHECK(read[1].slice(1, 2).abs().max().item<float>() == 0);
}

TEST_CASE("blocks of FlashInfer's tensor are read in the order of the table", "[tensor][layouts][paged]") {
  const at::Tensor joined = random_keys({5, 2, 2, 4, 8});
  const keys_and_values halves = split_keys_values({joined}, 1);
  const at::Tensor read =
      layouts::canonical(layouts::lower(layouts::paged_hnd{five_and_two()}, halves.keys[0], "test", "keys"));
  CHECK(at::equal(read[0][1][2], joined[3][0][1][2]));
  CHECK(at::equal(read[0][0][4], joined[1][0][0][0]));
}

TEST_CASE("a pool with other blocks than the table's is refused", "[tensor][layouts][paged]") {
  const layouts::paged_nhd layout{five_and_two()};
  CHECK(message_of<shape_error>([&] { layouts::lower(layout, random_keys({3, 4, 2, 8}), "test", "keys"); }) ==
        "test: keys: expected 4 blocks of 4 slots, which the layout's table names, got 3 blocks of 4 slots");
  CHECK_THROWS_AS(layouts::lower(layout, random_keys({5, 8, 2, 8}), "test", "keys"), shape_error);
}

TEST_CASE("the smallest pool has the blocks of the table", "[tensor][layouts][paged]") {
  CHECK(layouts::paged_nhd{five_and_two()}.storage_shape(2, 8) == std::vector<std::int64_t>{4, 4, 2, 8});
  CHECK(layouts::paged_hnd{five_and_two()}.storage_shape(2, 8) == std::vector<std::int64_t>{4, 2, 4, 8});
}
