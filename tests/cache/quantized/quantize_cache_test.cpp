#include "kvtransfer/cache/quantized/quantize_cache.hpp"

#include <ATen/ops/equal.h>

#include "cache/quantized/quantized_cases.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a cache in any layout is quantized to the same codes", "[cache][quantized]") {
  for (const padding_side side : every_side) {
    const reference_cache reference = reference_in(at::kBFloat16, side);
    const quantized_cache expected = quantize(reference.view(), kivi_keys(4, 4), kivi_values(8, 4));
    for_each_layout(reference, [&](const auto& view) {
      const quantized_cache kv = quantize(view, kivi_keys(4, 4), kivi_values(8, 4));
      CHECK(kv.stored() == reference.frame);
      for (std::int64_t i = 0; i < kv.layers(); ++i) {
        CHECK(at::equal(kv.keys(i).scales, expected.keys(i).scales));
        CHECK(at::equal(kv.keys(i).codes, expected.keys(i).codes));
        CHECK(at::equal(kv.values(i).codes, expected.values(i).codes));
      }
    });
  }
}

TEST_CASE("a quantized cache comes back in its dtype and frame, within the bound", "[cache][quantized]") {
  for (const at::ScalarType dtype : every_dtype) {
    const reference_cache reference = reference_in(dtype, padding_side::left);
    for (const quantization& scheme : every_scheme(4)) {
      const quantized_cache kv = quantize(reference.view(), scheme, scheme);
      const cache back = kv.dequantize();
      CHECK(back.view().frame() == reference.frame);
      CHECK(back.view().layer(0).keys().scalar_type() == dtype);
      CHECK(kv.dequantize(at::kFloat).view().layer(0).values().scalar_type() == at::kFloat);
      CHECK(share_of_key_bound(kv, in_double(reference).view()) <= 1);
    }
  }
}

TEST_CASE("a scheme that does not go with a cache's heads is refused by name", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  CHECK_THAT(message_of<value_error>([&] { quantize(reference.view(), kivi_keys(4), kivi_values(4)); }),
             Equals("quantize values: group_size: expected a divisor of head_dim=8, got 32"));
}
