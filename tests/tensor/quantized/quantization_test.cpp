#include "kvtransfer/tensor/quantized/quantization.hpp"

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a scheme that does not go with a head is refused", "[tensor][quantized]") {
  const auto refusal = [](const quantization& scheme, std::int64_t head_dim) {
    return message_of<value_error>([&] { validate(scheme, head_dim, "quantize"); });
  };
  const quantization_axis token = quantization_axis::per_token;
  const quantization_axis channel = quantization_axis::per_channel;
  CHECK_THAT(refusal({code_format::int8, token, 0}, 64), Equals("quantize: group_size: expected at least 1, got 0"));
  CHECK_THAT(refusal({code_format::int8, channel, -1}, 64),
             Equals("quantize: group_size: expected at least 1, got -1"));
  CHECK_THAT(refusal({code_format::int8, token, 48}, 64),
             Equals("quantize: group_size: expected a divisor of head_dim=64, got 48"));
  CHECK_THAT(refusal({code_format::int4, token, 5}, 80),
             Equals("quantize: group_size: expected an even number for codes of 4 bits, got 5"));
  CHECK_THAT(refusal({code_format::int4, channel, 5}, 7),
             Equals("quantize: head_dim: expected an even number for codes of 4 bits, got 7"));
  CHECK(refusal({code_format::int8, channel, 5}, 7).empty());
  CHECK(refusal({code_format::int4, token, 40}, 80).empty());
}

TEST_CASE("integers have 4 or 8 bits", "[tensor][quantized]") {
  CHECK(kivi_keys(4) == quantization{code_format::int4, quantization_axis::per_channel, 32});
  CHECK(kivi_values(8, 64) == quantization{code_format::int8, quantization_axis::per_token, 64});
  CHECK_THAT(message_of<value_error>([] { kivi_keys(2); }), Equals("quantization: bits: expected 4 or 8, got 2"));
}

TEST_CASE("a scheme says what it is", "[tensor][quantized]") {
  CHECK(describe(kivi_keys(4, 64)) == "int4 per channel in groups of 64");
}
