#include <ATen/ops/tensor.h>

#include "kvtransfer/tensor/layouts.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a tensor by strides is sliced, one by a table keeps its storage", "[tensor][slice_layout]") {
  const at::Tensor keys = random_keys({2, 5, 3, 8});
  const at::Tensor part = layouts::slice_tensor(layouts::batch_seq_heads_dim{}, keys, 1, 4);
  CHECK(part.sizes() == at::IntArrayRef{2, 3, 3, 8});
  CHECK(part.data_ptr() == keys.select(1, 1).data_ptr());
  const layouts::ragged ragged{layouts::cumulative_slots(at::tensor({0, 3, 5}, at::kInt))};
  const at::Tensor tokens = random_keys({5, 3, 8});
  CHECK(layouts::slice_tensor(ragged, tokens, 1, 3).is_same(tokens));
  CHECK(layouts::slice_layout(ragged, 1, 3).slots == ragged.slots.slice(1, 3));
}

TEST_CASE("both layouts of a pair are sliced", "[tensor][slice_layout]") {
  const layouts::slot_table table = layouts::cumulative_slots(at::tensor({0, 3, 5}, at::kInt));
  const layouts::separate<layouts::ragged, layouts::ragged> pair{{table}, {table.slice(0, 3)}};
  const auto part = layouts::slice_layout(pair, 1, 2);
  CHECK(part.keys.slots.seq() == 1);
  CHECK(part.values.slots == table.slice(1, 2));
}
