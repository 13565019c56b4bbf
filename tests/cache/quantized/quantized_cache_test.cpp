#include "kvtransfer/cache/quantized/quantized_cache.hpp"

#include <ATen/ops/equal.h>

#include <filesystem>
#include <vector>

#include "cache/quantized/quantized_cases.hpp"
#include "kvtransfer/cache/file/quantized/save_quantized_cache.hpp"
#include "kvtransfer/cache/quantized/concat_quantized.hpp"
#include "kvtransfer/rope/quantized/rotate_quantized_keys.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

rotary_specification slower(rotary_specification specification) {
  for (float& frequency : specification.inv_freq) {
    frequency /= 4;
  }
  specification.attention_scaling = 0.8;
  return specification;
}

/// Every key somewhere else, in reverse order.
position_map backwards(const position_map& positions) {
  return positions.transform([&](const position_row& row) {
    std::vector<std::int64_t> places;
    for (std::int64_t slot = 0; slot < row.size(); ++slot) {
      places.push_back(40 + 3 * (row.size() - slot));
    }
    return position_row::listed(places);
  });
}

/// Calls `visit(move)` for every kind of move, and for some in a row.
template <class Visit>
void for_each_move(const cache_frame& frame, Visit&& visit) {
  const rotary_specification written = frame.layer(0).specifications.front();
  const std::vector<rotary_specification> same(2, written);
  const std::vector<rotary_specification> others(2, slower(written));
  const position_map elsewhere = backwards(frame.layer(0).positions);
  visit([](auto& kv) { kv.shift(-3); });
  visit([&](auto& kv) { kv.remap(elsewhere); });
  visit([](auto& kv) { kv.unrotate(); });
  visit([&](auto& kv) { kv.reframe(others); });
  visit([&](auto& kv) {
    kv.unrotate();
    kv.shift(1000);
    kv.rotate(others);
    kv.remap(elsewhere);
  });
}

/// Moves codes, and a copy in float64: the codes are within the bound, values untouched, and both in the same frame.
template <class Move>
void check_codes_move(const reference_cache& reference, const quantization& scheme, Move&& move) {
  const reference_cache exact = in_double(reference);
  cache expected(exact.view());
  quantized_cache kv = quantize(reference.view(), scheme, kivi_values(8, 4));
  const at::Tensor values = kv.values(1).codes.clone();
  move(expected);
  move(kv);
  expected.materialize();
  kv.materialize();
  REQUIRE(kv.stored() == expected.view().frame());
  REQUIRE(share_of_key_bound(kv, expected.view()) <= 1);
  REQUIRE(at::equal(kv.values(1).codes, values));
}

void check_all_codes_move(at::Device device) {
  for (const padding_side side : every_side) {
    for (const std::int64_t heads : {1, 2}) {
      for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
        const reference_cache reference = reference_in(dtype, side, device, heads);
        for (const quantization& scheme : every_scheme(4)) {
          INFO(describe(scheme) << ", padding " << static_cast<int>(side) << ", positions of " << heads << " heads");
          for_each_move(reference.frame, [&](auto&& move) { check_codes_move(reference, scheme, move); });
        }
      }
    }
  }
}

/// Moves that wait and are read by dequantize() are those of a full-precision cache of the same elements, bit for bit.
void check_waiting_moves(at::Device device) {
  const reference_cache reference = reference_in(at::kFloat, padding_side::left, device);
  for (const quantization& scheme : every_scheme(4)) {
    for_each_move(reference.frame, [&](auto&& move) {
      quantized_cache kv = quantize(reference.view(), scheme, kivi_values(8, 4));
      cache expected = kv.dequantize();
      move(kv);
      move(expected);
      expected.materialize();
      const at::Tensor codes = kv.stored_keys(0).codes.clone();
      const cache read = kv.dequantize();
      REQUIRE(read.view().frame() == expected.view().frame());
      REQUIRE(held_difference(read.view().layer(1).keys(), expected.view().layer(1).keys(),
                              expected.view().layer(1).frame()) == 0);
      REQUIRE(at::equal(kv.stored_keys(0).codes, codes));
    });
  }
}

}  // namespace

TEST_CASE("moved codes stay within the bound, whatever the padding, heads and scheme", "[cache][quantized]") {
  check_all_codes_move(at::kCPU);
}

TEST_CASE("moved codes stay within the bound on a GPU", "[cache][quantized][cuda]") {
  if (cuda_available()) {
    check_all_codes_move(at::kCUDA);
  }
}

TEST_CASE("a move that waits costs no second quantization when it is read", "[cache][quantized]") {
  check_waiting_moves(at::kCPU);
}

TEST_CASE("a move that waits costs no second quantization when it is read on a GPU", "[cache][quantized][cuda]") {
  if (cuda_available()) {
    check_waiting_moves(at::kCUDA);
  }
}

TEST_CASE("keys quantized without rotation bear any number of moves without a change of a bit", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::left);
  const std::vector<rotary_specification> rotary(2, reference.frame.layer(0).specifications.front());
  cache plain(reference.view());
  plain.unrotate();
  plain.materialize();
  for (const quantization& scheme : every_scheme(4)) {
    quantized_cache kv = quantize(plain.view(), scheme, kivi_values(4, 4));
    cache expected = kv.dequantize();
    const quantized_tensor before = kv.keys(0).clone();
    for (int i = 0; i < 100; ++i) {
      kv.shift(i % 2 == 0 ? 1000 - i : -900);
      kv.materialize();  // has nothing to do but say so in the frame
    }
    kv.remap(backwards(reference.frame.layer(0).positions));
    kv.materialize();
    CHECK(at::equal(kv.keys(0).codes, before.codes));
    CHECK(at::equal(kv.keys(0).scales, before.scales));
    CHECK_FALSE(kv.keys(0).carried_error.defined());
    kv.rotate(rotary);
    expected.remap(backwards(reference.frame.layer(0).positions));
    expected.rotate(rotary);
    expected.materialize();
    CHECK(held_difference(kv.dequantize().view().layer(0).keys(), expected.view().layer(0).keys(),
                          kv.target().layer(0)) == 0);
  }
}

TEST_CASE("keys that stay where they are keep their codes, though others of their group move", "[cache][quantized]") {
  const rotary_specification first = plain_specification(8);
  const rotary_specification second = slower(first);
  position_row row = position_row::consecutive(0, 6, slot_state::rotated(0));
  row.append({6, 5, 1, slot_state::rotated(1)});
  reference_cache reference = reference_in(at::kFloat, padding_side::none);
  reference.frame = cache_frame(2, {position_map(row, reference_batch), {first, second}});
  for (const quantization& scheme : every_scheme(4)) {
    quantized_cache kv = quantize(reference.view(), scheme, kivi_values(8, 4));
    const at::Tensor before = dequantize(kv.keys(0));
    kv.reframe({second, second});
    kv.materialize();
    const at::Tensor after = dequantize(kv.keys(0));
    CHECK(at::equal(after.slice(2, 6), before.slice(2, 6)));
    CHECK_FALSE(at::equal(after.slice(2, 0, 6), before.slice(2, 0, 6)));
    cache expected(in_double(reference).view());
    expected.reframe({second, second});
    expected.materialize();
    CHECK(share_of_key_bound(kv, expected.view()) <= 1);
  }
}

TEST_CASE("a slice of a quantized cache moves on its own", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::inside);
  for (const quantization& scheme : every_scheme(4)) {
    quantized_cache kv = quantize(reference.view(), scheme, kivi_values(8, 4));
    const at::Tensor before = dequantize(kv.keys(0));
    kv.shift(5);
    quantized_cache part = kv.slice(3, 10);
    CHECK(part.length() == 7);
    CHECK(part.target() == kv.target().slice(3, 10));
    part.materialize();
    cache expected(in_double(reference).view().slice(3, 10));
    expected.shift(5);
    expected.materialize();
    CHECK(share_of_key_bound(part, expected.view()) <= 1);
    CHECK(at::equal(dequantize(kv.stored_keys(0)), before));
    CHECK_THROWS_AS(kv.slice(3, 12), shape_error);
  }
}

TEST_CASE("a copy of a quantized cache moves on its own", "[cache][quantized]") {
  quantized_cache kv =
      quantize(reference_in(at::kFloat, padding_side::none).view(), kivi_keys(8, 4), kivi_values(8, 4));
  quantized_cache copy = kv.clone();
  copy.shift(7);
  copy.materialize();
  CHECK_FALSE(at::equal(copy.keys(0).codes, kv.keys(0).codes));
  CHECK(copy.stored() == detail::shifted(kv.stored(), 7));
}

TEST_CASE("codes are not read while a move waits", "[cache][quantized]") {
  quantized_cache kv =
      quantize(reference_in(at::kFloat, padding_side::none).view(), kivi_keys(8, 4), kivi_values(8, 4));
  kv.shift(1);
  CHECK_FALSE(kv.materialized());
  CHECK_THAT(message_of<frame_error>([&] { kv.keys(0); }),
             StartsWith("quantized_cache::keys: frame: expected stored and target to agree"));
  kv.shift(-1);
  CHECK(kv.materialized());
  CHECK_THROWS_AS(kv.keys(2), shape_error);
}

TEST_CASE("a refused move changes neither codes nor frame", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::left);
  quantized_cache kv = quantize(reference.view(), kivi_keys(4, 4), kivi_values(4, 4));
  const at::Tensor codes = kv.keys(0).codes.clone();
  CHECK_THROWS_AS(kv.rotate({plain_specification(8), plain_specification(8)}), frame_error);
  CHECK_THROWS_AS(kv.reframe({plain_specification(8)}), shape_error);
  CHECK_THROWS_AS(kv.remap(position_map::consecutive(0, 4, reference_batch)), shape_error);
  CHECK_THROWS_AS(kv.remap(position_map::consecutive(0, reference_seq, reference_batch).with_heads(3)), shape_error);
  CHECK(kv.target() == reference.frame);
  kv.reframe(
      {plain_specification(8), plain_specification(6)});  // may be wanted, but the second layer cannot be rotated so
  CHECK_THROWS_AS(kv.materialize(), frame_error);
  CHECK(at::equal(kv.stored_keys(0).codes, codes));
  CHECK(kv.stored() == reference.frame);
}

TEST_CASE("codes that are not what a frame describes are refused", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const quantized_tensor codes = quantize(reference.keys[0], kivi_keys(8, 4));
  CHECK_THAT(message_of<shape_error>([&] { quantized_cache({codes, codes}, {codes}, reference.frame); }),
             Equals("quantized_cache: values: expected 2 layers, got 1"));
  const quantized_tensor shorter = slice(codes, 0, 10);
  CHECK_THAT(message_of<shape_error>([&] { quantized_cache({codes, shorter}, {codes, codes}, reference.frame); }),
             Equals("quantized_cache: keys: expected [batch=3, kv_heads=1, seq=11], got [batch=3, kv_heads=2, seq=10, "
                    "head_dim=8]"));
}

TEST_CASE("layers may be quantized each in its own way", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  quantized_cache kv(
      {quantize(reference.keys[0], kivi_keys(8, 4)), quantize(reference.keys[1], kivi_values(4, 8))},
      {quantize(reference.values[0], kivi_values(8, 4)), quantize(reference.values[1], kivi_values(4, 8))},
      reference.frame);
  cache expected(in_double(reference).view());
  expected.shift(9);
  expected.materialize();
  kv.shift(9);
  kv.materialize();
  CHECK(share_of_key_bound(kv, expected.view()) <= 1);
}

TEST_CASE("the bytes of a quantized cache are those of codes, scales and minimums", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kHalf, padding_side::none);
  const quantized_cache kv = quantize(reference.view(), kivi_keys(4, 11), kivi_values(4, 8));
  const std::int64_t rows = reference_batch * 2;
  CHECK(kv.nbytes() == 2 * rows * (2 * reference_seq * 4 + 8 * 8 + reference_seq * 8));
}

TEST_CASE("codes that were moved through another cache are not read in a frame that they have left",
          "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const quantized_cache first = quantize(reference.view(), kivi_keys(8, 11), kivi_values(8, 8));
  quantized_cache second({first.stored_keys(0), first.stored_keys(1)}, {first.values(0), first.values(1)},
                         first.stored());
  second.shift(5);
  second.materialize();
  CHECK(second.keys(0).codes.defined());
  CHECK_THAT(message_of<frame_error>([&] { first.keys(0); }), contains("a change by quantized_cache::materialize"));
  CHECK_THROWS_AS(first.dequantize(), frame_error);
  CHECK_THROWS_AS(first.clone(), frame_error);
  CHECK_THAT(message_of<frame_error>([&] { first.keys(0); }), StartsWith("quantized_cache::keys: "));
  CHECK_THAT(message_of<frame_error>([&] { first.stored_keys(0); }), StartsWith("quantized_cache::stored_keys: "));
  quantized_cache behind = quantize(reference.view(), kivi_keys(8, 11), kivi_values(8, 8));
  behind.shift(100);
  CHECK_THAT(message_of<frame_error>([&] { static_cast<void>(concat(first, behind)); }), contains("a change by"));
  const temporary_folder folder;
  CHECK_THAT(message_of<frame_error>([&] { save_cache(folder.path() / "codes.safetensors", first); }),
             contains("a change by quantized_cache::materialize"));
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(second.stored().roundings() == 1);
  CHECK_FALSE(second.stored().origin().is_known());
}

TEST_CASE("codes of a cache that are rotated as plain codes are not read as if they had stayed", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const quantized_cache kv = quantize(reference.view(), kivi_keys(8, 11), kivi_values(8, 8));
  quantized_tensor codes = kv.keys(0);
  rope::rotate_quantized_keys_(codes, rope::rotation::shift(5, kv.stored().layer(0).specifications.front()));
  CHECK_THAT(message_of<frame_error>([&] { kv.keys(0); }), contains("a change by rotate_quantized_keys_"));
  CHECK_THROWS_AS(kv.dequantize(), frame_error);
}

TEST_CASE("layers that share codes are moved once", "[cache][quantized]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const quantized_cache apart = quantize(reference.view(), kivi_keys(8, 11), kivi_values(8, 8));
  quantized_cache once({apart.clone().stored_keys(0)}, {apart.values(0)}, cache_frame({apart.stored().shared(0)}));
  const quantized_tensor shared = apart.clone().stored_keys(0);
  quantized_cache twice({shared, shared}, {apart.values(0), apart.values(0)},
                        cache_frame({apart.stored().shared(0), apart.stored().shared(0)}));
  for (quantized_cache* kv : {&once, &twice}) {
    kv->shift(9);
    kv->materialize();
  }
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(at::equal(twice.keys(i).codes, once.keys(0).codes));
    CHECK(at::equal(twice.keys(i).scales, once.keys(0).scales));
  }
}
