#include "kvtransfer/tensor/layouts/strided.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("llama.cpp's keys and values are each read in their layout", "[tensor][layouts][separate]") {
  const layouts::llama_cpp layout;
  const at::Tensor keys = random_keys({1, 5, 2, 8});
  const at::Tensor values = random_keys({1, 2, 8, 5});
  const at::Tensor read_keys = layouts::lower(layouts::keys_of(layout), keys, "test", "keys").blocks;
  const at::Tensor read_values = layouts::lower(layouts::values_of(layout), values, "test", "values").blocks;
  CHECK(read_keys.sizes() == at::IntArrayRef{1, 2, 5, 8});
  CHECK(read_values.sizes() == at::IntArrayRef{1, 2, 5, 8});
  CHECK(read_keys[0][1][4][3].item<float>() == keys[0][4][1][3].item<float>());
  CHECK(read_values[0][1][4][3].item<float>() == values[0][1][3][4].item<float>());
}
