#include "kvtransfer/cache/quantized/concat_quantized.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>

#include "cache/quantized/quantized_cases.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("quantized caches are joined without a second quantization, moves that wait included", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::left);
  for (const quantization& scheme : every_scheme(4)) {
    const quantized_cache first = quantize(reference.view(), scheme, kivi_values(8, 4));
    quantized_cache second = first.slice(2, 9);
    second.shift(500);
    const quantized_cache both = concat(first, second);
    cache moved(reference.view().slice(2, 9));
    moved.shift(500);
    CHECK(both.target() == concat(reference.view(), moved.view()).view().frame());
    CHECK(at::equal(both.stored_keys(0).codes.view(at::kByte),
                    at::cat({first.keys(0).codes.view(at::kByte), second.stored_keys(0).codes.view(at::kByte)}, 2)));
    const at::Tensor expected =
        at::cat({first.dequantize().view().layer(1).keys(), second.dequantize().view().layer(1).keys()}, 2);
    CHECK(held_difference(both.dequantize().view().layer(1).keys(), expected, both.target().layer(1)) < 1e-6);
  }
}

TEST_CASE("a joined cache moves as one, the groups of either part its own", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::right);
  for (const quantization& scheme : every_scheme(4)) {
    quantized_cache second = quantize(reference.view(), scheme, kivi_values(8, 4));
    second.shift(500);
    quantized_cache both = concat(quantize(reference.view(), scheme, kivi_values(8, 4)), second);
    both.shift(3);
    both.materialize();
    const reference_cache exact = in_double(reference);
    cache behind(exact.view());
    behind.shift(500);
    behind.materialize();
    cache expected = concat(exact.view(), behind.view());
    expected.shift(3);
    expected.materialize();
    CHECK(both.stored() == expected.view().frame());
    CHECK(share_of_key_bound(both, expected.view()) <= 1);
  }
}

TEST_CASE("quantized caches that do not go together are not joined", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const quantized_cache first = quantize(reference.view(), kivi_keys(8, 4), kivi_values(8, 4));
  quantized_cache second = first.clone();
  CHECK_THAT(message_of<frame_error>([&] { concat(first, second); }), contains("positions that only one cache holds"));
  CHECK(concat(first, second, position_overlap::allowed).length() == 2 * reference_seq);
  second.shift(900);
  CHECK(concat(first, second).length() == 2 * reference_seq);
  quantized_cache other = quantize(reference.view(), kivi_keys(4, 4), kivi_values(8, 4));
  other.shift(900);
  CHECK_THAT(message_of<value_error>([&] { concat(first, other); }), StartsWith("concat keys: part 1: expected int8"));
  second.unrotate();
  CHECK_THAT(message_of<frame_error>([&] { concat(first, second); }), contains("rotary specification"));
}
