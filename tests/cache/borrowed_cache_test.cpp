#include "kvtransfer/cache/borrowed_cache.hpp"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <vector>

#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/compare.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Rounding of one move and one more, relative to the norm of a head.
double tolerance_of(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 1e-3 : 8e-3; }

/// A storage's slots `[rows, slots, kv_heads, head_dim]` with zeros where a key lies that the frame holds.
at::Tensor all_but_keys(const layouts::storage& plain, const position_map& positions) {
  at::Tensor rows = plain.blocks.transpose(1, 2).contiguous().clone();
  const std::vector<std::int64_t> places = plain.slots->places(plain.blocks.size(2));
  const at::Tensor held = validity_tensor(positions);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto batch = static_cast<std::int64_t>(i) / positions.size();
    const auto slot = static_cast<std::int64_t>(i) % positions.size();
    for (std::int64_t head = 0; head < positions.heads() && places[i] >= 0; ++head) {
      if (held[batch][head][slot].item<bool>()) {
        rows.flatten(0, 1)[places[i]].zero_();
      }
    }
  }
  return rows;
}

/// Makes the same move on a dense copy, lazily, and on the tensors of `view`, at once: both hold the same afterwards,
/// and nothing but keys has changed.
template <class View, class Move>
void check_move(const cache_view<>& reference, const View& view, Move&& move) {
  cache expected(reference);
  move(expected);
  expected.materialize();
  std::vector<at::Tensor> rest;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    values.push_back(view.layer(i).values().clone());
    if (const layouts::storage plain = view.layer(i).key_storage(); plain.slots) {
      rest.push_back(all_but_keys(plain, view.layer(i).frame().positions));
    }
  }
  borrowed_cache borrowed(view);
  move(borrowed);
  REQUIRE(borrowed.frame() == expected.view().frame());
  REQUIRE(compare(borrowed.view(), expected.view()).relative() <=
          tolerance_of(reference.layer(0).keys().scalar_type()));
  for (std::int64_t i = 0; i < view.layers(); ++i) {
    const auto moved = borrowed.view().layer(i);
    REQUIRE(at::equal(moved.values(), values[static_cast<std::size_t>(i)]));
    if (!rest.empty()) {
      REQUIRE(at::equal(all_but_keys(moved.key_storage(), moved.frame().positions), rest[static_cast<std::size_t>(i)]));
    }
  }
}

rotary_specification rescaled(rotary_specification specification) {
  for (float& frequency : specification.inv_freq) {
    frequency /= 4;
  }
  specification.attention_scaling = 0.8;
  return specification;
}

/// New positions for every key: one after the other from `first` on, in reverse order.
position_map reversed_positions(const position_map& positions, std::int64_t first) {
  return positions.transform([&](const position_row& row) {
    std::vector<std::int64_t> places;
    for (std::int64_t slot = 0; slot < row.size(); ++slot) {
      places.push_back(first + 3 * (row.size() - slot));
    }
    return position_row::listed(places);
  });
}

void check_every_move(at::Device device, std::int64_t heads) {
  for (const at::ScalarType dtype : every_dtype) {
    for (const padding_side side : every_side) {
      INFO(c10::toString(dtype) << ", padding " << static_cast<int>(side));
      const auto each = [&](const reference_cache& reference, const auto& for_each, auto&& move) {
        for_each(reference, [&](const auto& view) { check_move(reference.view(), view, move); });
      };
      const auto all_moves = [&](const reference_cache& reference, const auto& for_each) {
        const layer_frame& frame = reference.frame.layer(0);
        const std::vector<rotary_specification> same(2, frame.specifications.front());
        const std::vector<rotary_specification> others(2, rescaled(frame.specifications.front()));
        each(reference, for_each, [](auto& kv) { kv.shift(-3); });
        each(reference, for_each, [&](auto& kv) { kv.remap(reversed_positions(frame.positions, 40)); });
        each(reference, for_each, [](auto& kv) { kv.unrotate(); });
        each(reference, for_each, [&](auto& kv) { kv.reframe(others); });
        each(reference, for_each, [&](auto& kv) {
          kv.unrotate();
          kv.rotate(same);
        });
      };
      all_moves(reference_in(dtype, side, device, heads),
                [](const auto& reference, auto&& visit) { for_each_layout(reference, visit); });
      if (heads == 1) {
        all_moves(latent_reference_in(dtype, side, device),
                  [](const auto& reference, auto&& visit) { for_each_latent_layout(reference, visit); });
      }
    }
  }
}

/// Two rows whose first block is one and the same.
layouts::paged_nhd with_shared_prefix() {
  return {layouts::slot_table(2, 6, {{0, 0, 1, 0, 4}, {0, 4, 3, 0, 2}, {1, 0, 1, 0, 4}, {1, 4, 0, 0, 2}}, 4)};
}

}  // namespace

TEST_CASE("a move in any layout, in place, is the move of the cache", "[cache][borrowed_cache]") {
  check_every_move(at::kCPU, 1);
  check_every_move(at::kCPU, 2);
}

TEST_CASE("a move in any layout, in place, is the move of the cache, on a GPU", "[cache][borrowed_cache][cuda]") {
  if (cuda_available()) {
    check_every_move(at::kCUDA, 1);
    check_every_move(at::kCUDA, 2);
  }
}

TEST_CASE("keys that sequences share are moved once", "[cache][borrowed_cache]") {
  const at::Tensor pool = random_keys({5, 4, 2, 8});
  const at::Tensor values = random_keys({5, 4, 2, 8});
  const cache_frame frame(1, {position_map::consecutive(10, 6, 2), {plain_specification(8)}});
  borrowed_cache borrowed({pool}, {values}, frame, with_shared_prefix());
  cache expected(cache_view<layouts::paged_nhd>({pool.clone()}, {values}, frame, with_shared_prefix()));
  borrowed.shift(7);
  expected.shift(7);
  expected.materialize();
  CHECK(compare(borrowed.view(), expected.view()).largest() < 1e-5);
}

TEST_CASE("a move that would take shared keys to two places is refused, and nothing moves", "[cache][borrowed_cache]") {
  const at::Tensor pool = random_keys({5, 4, 2, 8});
  const at::Tensor before = pool.clone();
  const cache_frame frame(1, {position_map::consecutive(10, 6, 2), {plain_specification(8)}});
  borrowed_cache borrowed({pool}, {pool.clone()}, frame, with_shared_prefix());
  const position_map apart(1, 2, 1, {position_row::consecutive(0, 6), position_row::consecutive(1, 6)});
  CHECK_THAT(message_of<frame_error>([&] { borrowed.remap(apart); }),
             contains("expected sequences to agree on the keys that they share"));
  CHECK(at::equal(pool, before));
  CHECK(borrowed.frame() == frame);
}

TEST_CASE("keys of two specifications in one block are moved each by its own", "[cache][borrowed_cache]") {
  const rotary_specification first = plain_specification(8);
  const rotary_specification second = rescaled(first);
  position_row row = position_row::consecutive(0, 6, slot_state::rotated(0));
  row.append({6, 5, 1, slot_state::rotated(1)});
  const cache_frame frame(2, {position_map(row, reference_batch), {first, second}});
  reference_cache reference = reference_in(at::kFloat, padding_side::none);
  reference.frame = frame;
  const std::vector<rotary_specification> unified(2, second);
  for_each_layout(reference,
                  [&](const auto& view) { check_move(reference.view(), view, [](auto& kv) { kv.shift(100); }); });
  for_each_layout(
      reference, [&](const auto& view) { check_move(reference.view(), view, [&](auto& kv) { kv.reframe(unified); }); });
}

TEST_CASE("every position stream moves in any layout", "[cache][borrowed_cache]") {
  rotary_specification specification = plain_specification(8);
  specification.stream_of = {0, 1, 2, 1};
  std::vector<position_row> rows;
  std::vector<position_row> elsewhere;
  for (std::int64_t i = 0; i < 3 * reference_batch; ++i) {
    rows.push_back(position_row::consecutive(7 * i, reference_seq));
    elsewhere.push_back(position_row::consecutive(100 + 5 * i, reference_seq));
  }
  reference_cache reference = reference_in(at::kFloat, padding_side::none);
  reference.frame = cache_frame(2, {position_map(3, reference_batch, 1, rows), {specification}});
  for_each_layout(reference, [&](const auto& view) {
    check_move(reference.view(), view, [&](auto& kv) { kv.remap(position_map(3, reference_batch, 1, elsewhere)); });
  });
}

TEST_CASE("a refused move changes neither keys nor frame", "[cache][borrowed_cache]") {
  for_each_layout(reference_in(at::kFloat, padding_side::left), [](const auto& view) {
    borrowed_cache borrowed(view);
    const at::Tensor before = view.layer(0).stored_keys().clone();
    const cache_frame frame = borrowed.frame();
    CHECK_THROWS_AS(borrowed.rotate({plain_specification(8), plain_specification(8)}), frame_error);
    CHECK_THROWS_AS(borrowed.reframe({plain_specification(8)}), shape_error);
    CHECK_THROWS_AS(borrowed.reframe({plain_specification(8), plain_specification(6)}), frame_error);
    CHECK_THROWS_AS(borrowed.remap(position_map::consecutive(0, 4, reference_batch)), shape_error);
    CHECK_THROWS_AS(borrowed.remap(position_map::consecutive(0, reference_seq, reference_batch).with_heads(3)),
                    shape_error);
    CHECK(at::equal(view.layer(0).stored_keys(), before));
    CHECK(borrowed.frame() == frame);
  });
}

TEST_CASE("tensors that autograd tracks are not moved in place", "[cache][borrowed_cache]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  borrowed_cache borrowed({reference.keys[0].clone().requires_grad_(), reference.keys[1]}, reference.values,
                          reference.frame, as_written);
  CHECK_THROWS_AS(borrowed.shift(1), value_error);
  CHECK(borrowed.frame() == reference.frame);
}

TEST_CASE("an assumed frame relabels keys, and says so", "[cache][borrowed_cache]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  borrowed_cache borrowed(reference.view());
  borrowed.assume_frame(shifted(reference.frame, 4));
  CHECK(borrowed.frame().assumed());
  CHECK(borrowed.frame().layer(0).positions == reference.frame.layer(0).positions.shifted(4));
  CHECK(at::equal(borrowed.view().layer(0).keys(), reference.keys[0]));
}
