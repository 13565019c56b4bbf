#include "model/rotary_tables.hpp"

#include <ATen/ops/arange.h>

#include "kvtransfer/model/config_json.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::rotary_tables;
using namespace kvtransfer::test;

TEST_CASE("layers of equal specification share one table", "[model][rotary_tables]") {
  const model_config config = model_config_from_json(small_config());
  std::vector<rotary_specification> rotary = rotary_specifications(config);
  rotary[1].inv_freq[0] = 0.5F;
  const rotary_tables tables(rotary, at::arange(5, at::kLong).view({1, 1, 1, 5}), at::kFloat);
  CHECK(tables.layer(0).cos.is_same(tables.layer(2).cos));
  CHECK_FALSE(tables.layer(0).cos.is_same(tables.layer(1).cos));
  CHECK(tables.layer(0).cos.sizes() == at::IntArrayRef({1, 1, 5, 8}));
}

TEST_CASE("a layer without RoPE has no table", "[model][rotary_tables]") {
  const rotary_tables tables({rotary_specification{}}, at::arange(5, at::kLong).view({1, 1, 1, 5}), at::kFloat);
  CHECK_FALSE(tables.layer(0).cos.defined());
}
