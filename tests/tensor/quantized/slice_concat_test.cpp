#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"
#include "tensor/quantized/schemes.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a slice of codes stands for the slice of the elements, bit for bit", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    const quantized_tensor whole = quantize(random_keys({2, 3, 21, 16}), scheme);
    for (std::int64_t begin = 0; begin <= 21; ++begin) {
      for (std::int64_t end = begin; end <= 21; ++end) {
        const quantized_tensor part = slice(whole, begin, end);
        validate(part, "test");
        REQUIRE(at::equal(dequantize(part), dequantize(whole).slice(2, begin, end)));
      }
    }
    CHECK(slice(whole, 3, 9).codes.is_alias_of(whole.codes));
    CHECK_THROWS_AS(slice(whole, 0, 22), shape_error);
  }
}

TEST_CASE("codes that are joined stand for the elements joined, bit for bit", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    const quantized_tensor first = slice(quantize(random_keys({2, 3, 21, 16}), scheme), 3, 18);
    const quantized_tensor second = slice(quantize(random_keys({2, 3, 9, 16}, at::kFloat, 8), scheme), 1, 9);
    quantized_tensor moved = second;
    moved.carried_error = second.scales + 1;
    for (const quantized_tensor& behind : {second, moved}) {
      const quantized_tensor both = concat(first, behind);
      validate(both, "test");
      CHECK(at::equal(dequantize(both), at::cat({dequantize(first), dequantize(second)}, 2)));
      CHECK(at::equal(error_bound(both), at::cat({error_bound(first), error_bound(behind)}, 2)));
      CHECK(at::equal(dequantize(slice(both, 15, 23)), dequantize(second)));
    }
  }
}

TEST_CASE("codes of different schemes, extents or types are not joined", "[tensor][quantized]") {
  const quantized_tensor first = quantize(random_keys({2, 3, 5, 16}), kivi_keys(4));
  CHECK_THAT(message_of<value_error>([&] { concat(first, quantize(random_keys({2, 3, 5, 16}), kivi_keys(8))); }),
             Equals("concat: part 1: expected int4 per channel in groups of 32, got int8 per channel in groups of 32"));
  CHECK_THROWS_AS(concat(first, quantize(random_keys({2, 2, 5, 16}), kivi_keys(4))), shape_error);
  CHECK_THROWS_AS(concat(first, quantize(random_keys({2, 3, 5, 16}, at::kHalf), kivi_keys(4))), shape_error);
}

TEST_CASE("a group that is split stands for what it stood for", "[tensor][quantized]") {
  for (const quantization& scheme : every_scheme(8)) {
    const quantized_tensor whole = quantize(random_keys({2, 3, 21, 16}), scheme);
    for (std::int64_t slot = 0; slot <= 21; ++slot) {
      const quantized_tensor split = split_groups_at(whole, slot);
      validate(split, "test");
      REQUIRE(at::equal(dequantize(split), dequantize(whole)));
      REQUIRE((!scheme.is_per_channel() || split.groups.has_cut(slot)));
    }
  }
}
