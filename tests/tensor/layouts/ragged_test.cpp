#include "kvtransfer/tensor/layouts/ragged.hpp"

#include <ATen/ops/tensor.h>

#include <vector>

#include "kvtransfer/tensor/canonical.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a ragged tensor is one row of all tokens", "[tensor][layouts][ragged]") {
  const layouts::ragged layout{layouts::cumulative_slots(at::tensor({0, 3, 4}, at::kInt))};
  const at::Tensor tokens = random_keys({6, 2, 8});  // two spare places
  const layouts::storage plain = layouts::lower(layout, tokens, "test", "keys");
  CHECK(plain.blocks.sizes() == at::IntArrayRef{1, 2, 6, 8});
  CHECK(plain.blocks.data_ptr() == tokens.data_ptr());
  CHECK(plain.extents() == cache_extents{2, 2, 3, 8});
  const at::Tensor read = layouts::canonical(plain);
  CHECK(at::equal(read[0], tokens.slice(0, 0, 3).transpose(0, 1)));
  CHECK(at::equal(read[1].select(1, 0), tokens[3]));
  CHECK(read[1].slice(1, 1).abs().max().item<float>() == 0);
  CHECK(layout.storage_shape(2, 8) == std::vector<std::int64_t>{4, 2, 8});
}

TEST_CASE("a ragged tensor with too few tokens is refused", "[tensor][layouts][ragged]") {
  const layouts::ragged layout{layouts::cumulative_slots(at::tensor({0, 3, 4}, at::kInt))};
  CHECK_THROWS_AS(layouts::lower(layout, random_keys({3, 2, 8}), "test", "keys"), shape_error);
  CHECK_THROWS_AS(layouts::lower(layout, random_keys({1, 4, 2, 8}), "test", "keys"), shape_error);
}
