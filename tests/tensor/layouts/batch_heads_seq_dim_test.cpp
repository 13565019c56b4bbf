#include "kvtransfer/tensor/layouts/strided.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("batch_heads_seq_dim is read and arranged without a copy", "[tensor][layouts]") {
  const layouts::batch_heads_seq_dim layout;
  const at::Tensor tensor = random_keys({2, 3, 5, 8});
  const at::Tensor canonical = layouts::lower(layout, tensor, "test", "keys").blocks;
  CHECK(canonical.sizes() == at::IntArrayRef{2, 3, 5, 8});
  canonical[1][2][4][7].fill_(42);
  const std::int64_t b = 1, h = 2, s = 4, d = 7;
  CHECK(tensor[b][h][s][d].item<float>() == 42);
  CHECK(layout.arrange(canonical).sizes() == tensor.sizes());
  CHECK(layout.arrange(canonical).data_ptr() == tensor.data_ptr());
}
