#include "kvtransfer/rope/convert_pairing.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <limits>

#include "kvtransfer/rope/move_tensor.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("conversion moves whole pairs and no value changes", "[rope][convert_pairing]") {
  rotary_specification specification = plain_specification(6);
  specification.window_offset = 1;
  const at::Tensor keys = at::tensor({9., 0., 1., 2., 10., 11., 12., 7.}).view({1, 1, 1, 8});
  const at::Tensor expected = at::tensor({9., 0., 10., 1., 11., 2., 12., 7.}).view({1, 1, 1, 8});
  at::Tensor converted = rope::convert_pairing(keys, specification, rope::pairing::interleaved);
  CHECK(at::equal(converted, expected));
  specification.pairing = rope::pairing::interleaved;
  rope::convert_pairing_(converted, specification, rope::pairing::half_split);
  CHECK(at::equal(converted, keys));
}

TEST_CASE("conversion and rotation commute", "[rope][convert_pairing]") {
  const rotary_specification halves = plain_specification(8);
  rotary_specification interleaved = halves;
  interleaved.pairing = rope::pairing::interleaved;
  const at::Tensor keys = random_keys({2, 2, 5, 12});
  const at::Tensor positions = random_positions({5});
  const at::Tensor rotated_first =
      rope::convert_pairing(rope::rotate(keys, positions, halves), halves, rope::pairing::interleaved);
  const at::Tensor converted_first =
      rope::rotate(rope::convert_pairing(keys, halves, rope::pairing::interleaved), positions, interleaved);
  CHECK(relative_error(rotated_first, converted_first) < 1e-7);
}

TEST_CASE("a window that leaves the head cannot be converted", "[rope][convert_pairing]") {
  CHECK_THROWS_AS(rope::convert_pairing(random_keys({1, 1, 1, 4}), plain_specification(8), rope::pairing::interleaved),
                  shape_error);
  rotary_specification far = plain_specification(4);
  far.window_offset = std::numeric_limits<std::int64_t>::max() - 3;
  CHECK_THROWS_AS(rope::convert_pairing(random_keys({1, 1, 1, 4}), far, rope::pairing::interleaved), shape_error);
  CHECK_THROWS_AS(rope::convert_pairing_(random_keys({1, 1, 1, 4}), far, rope::pairing::interleaved), shape_error);
}

}  // namespace kvtransfer::test
