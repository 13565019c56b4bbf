#include "kvtransfer/cache/gather.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Slots for every row and head: as many as eight, some of them padding.
at::Tensor choice_by_head(std::int64_t kv_heads) {
  std::vector<std::int64_t> slots;
  for (std::int64_t i = 0; i < reference_batch * kv_heads * 8; ++i) {
    slots.push_back(i % 5 == 4 ? -1 : (i * 7 + i / 8) % reference_seq);
  }
  return integer_tensor(slots, at::kCPU).view({reference_batch, kv_heads, 8});
}

/// What a gather must give, slot by slot.
void require_gathered(const cache& found, const cache_view<>& source, const at::Tensor& slots) {
  const at::Tensor all = slots.dim() == 3 ? slots : slots.dim() == 2 ? slots.unsqueeze(1) : slots.view({1, 1, -1});
  const cache_view<> view = found.view();
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const cache_extents extents = source.layer(i).extents();
    for (std::int64_t b = 0; b < extents.batch; ++b) {
      for (std::int64_t h = 0; h < extents.kv_heads; ++h) {
        const at::Tensor own = all[all.size(0) == 1 ? 0 : b][all.size(1) == 1 ? 0 : h];
        const position_row& row = view.layer(i).frame().positions.row(0, b, h);
        for (std::int64_t n = 0; n < own.size(0); ++n) {
          const auto slot = own[n].item<std::int64_t>();
          const at::Tensor key = view.layer(i).keys()[b][h][n];
          const at::Tensor value = view.layer(i).values()[b][h][n];
          REQUIRE(at::equal(key, slot < 0 ? at::zeros_like(key) : source.layer(i).keys()[b][h][slot]));
          REQUIRE(at::equal(value, slot < 0 ? at::zeros_like(value) : source.layer(i).values()[b][h][slot]));
          const position_row expected = slot < 0 ? position_row::consecutive(0, 1, slot_state::padding())
                                                 : source.layer(i).frame().positions.row(0, b, h).slice(slot, slot + 1);
          REQUIRE(row.slice(n, n + 1) == expected);
        }
      }
    }
  }
}

void check_gathers(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const std::int64_t kv_heads = reference.layer(0).extents().kv_heads;
    const std::vector<std::int64_t> shared = {3, 3, 0, 10};
    constexpr position_overlap allowed = position_overlap::allowed;
    const at::Tensor by_sequence = choice_by_head(1).view({reference_batch, 8});
    const at::Tensor by_head = choice_by_head(kv_heads);
    require_same(gather(view, shared, allowed).view(), gather(reference, shared, allowed).view());
    require_same(gather(view, by_sequence).view(), gather(reference, by_sequence).view());
    require_same(gather(view, by_head).view(), gather(reference, by_head).view());
    require_same(gather(view, {slot_choice(shared), slot_choice(by_sequence.slice(1, 0, 4))}, allowed).view(),
                 gather(reference, {slot_choice(shared), slot_choice(by_sequence.slice(1, 0, 4))}, allowed).view());
  });
}

}  // namespace

TEST_CASE("a gather in any layout is the gather of the cache", "[cache][gather]") { check_gathers(at::kCPU); }

TEST_CASE("a gather in any layout is the gather of the cache, on a GPU", "[cache][gather][cuda]") {
  if (cuda_available()) {
    check_gathers(at::kCUDA);
  }
}

TEST_CASE("a gather takes each slot with its key, value, position and state", "[cache][gather]") {
  for (const padding_side side : every_side) {
    const reference_cache source = reference_in(at::kFloat, side);
    const at::Tensor shared = at::tensor({9, 1, 1}, at::kLong);
    require_gathered(gather(source.view(), shared, position_overlap::allowed), source.view(), shared);
    require_gathered(gather(source.view(), choice_by_head(1).squeeze(1)), source.view(), choice_by_head(1).squeeze(1));
    require_gathered(gather(source.view(), choice_by_head(2)), source.view(), choice_by_head(2));
    require_gathered(gather(source.view(), choice_by_head(2).to(at::kInt)), source.view(), choice_by_head(2));
  }
}

TEST_CASE("slots chosen by head give positions by head, and no token ids", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  const cache kept = gather(source.view(), choice_by_head(2));
  CHECK(kept.view().frame().layer(0).positions.heads() == 2);
  CHECK(kept.view().frame().token_ids().empty());
  CHECK(kept.view().frame().model().digest == "a model");
  const cache by_sequence = gather(source.view(), std::vector<std::int64_t>{4, 2});
  CHECK(by_sequence.view().frame().layer(0).positions.heads() == 1);
  CHECK(by_sequence.view().frame().token_ids()[1] == std::vector<std::int64_t>{1004, 1002});
}

TEST_CASE("keys evicted by head close the gap when they are moved together", "[cache][gather]") {
  const reference_cache source = reference_in(at::kDouble, padding_side::none);
  cache kept = gather(source.view(), at::tensor({0, 1, 8, 9, 2, 3, 8, 10}, at::kLong).view({1, 2, 4}));
  kept.remap(position_map::consecutive(0, 4, reference_batch));
  kept.materialize();
  CHECK(kept.view().frame().layer(1).positions.row(0, 2, 1) == position_row::consecutive(0, 4));
}

TEST_CASE("nothing can be gathered", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  CHECK(gather(source.view(), std::vector<std::int64_t>{}).length() == 0);
  const cache padded = gather(source.view().slice(0, 0), std::vector<std::int64_t>{-1, -1});
  CHECK(padded.view().frame().layer(0).positions.row(0, 0, 0).key_count() == 0);
}

TEST_CASE("choices that do not fit are refused", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  const auto refusal = [&](std::int64_t slot) {
    return message_of<shape_error>([&] { (void)gather(source.view(), std::vector<std::int64_t>{slot}); });
  };
  CHECK_THAT(refusal(11), EndsWith("slots: expected 0 <= slot < 11, or -1, got 11"));
  CHECK_THAT(refusal(-2), EndsWith("slots: expected 0 <= slot < 11, or -1, got -2"));
  CHECK_THROWS_AS(gather(source.view(), at::zeros({2, 3}, at::kLong)), shape_error);
  CHECK_THROWS_AS(gather(source.view(), at::zeros({3, 3, 3}, at::kLong)), shape_error);
  const std::vector<slot_choice> one_layer(1, slot_choice(std::vector<std::int64_t>{1}));
  CHECK_THROWS_AS(gather(source.view(), one_layer), shape_error);
}

TEST_CASE("a gradient passes through a gather", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  const std::vector<at::Tensor> keys = {source.keys[0].clone().requires_grad_(), source.keys[1]};
  const cache picked = gather(cache_view<>(keys, source.values, source.frame), choice_by_head(2));
  picked.view().layer(0).keys().sum().backward();
  const at::Tensor times_taken = keys[0].grad().select(-1, 0);
  CHECK(times_taken.sum().item<double>() == (choice_by_head(2) >= 0).sum().item<double>());
}

TEST_CASE("edits go with the slots that are chosen", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  const auto noise = [](std::vector<std::int64_t> layers, std::vector<slot_range> slots) {
    return cache_edit{edit_kind::noise, cache_half::keys, std::move(layers), {}, std::move(slots), "seed 1"};
  };
  cache_frame frame = source.frame;
  frame.add_edit(noise({}, {{2, 3}}));
  const cache_view<> view = cache_view<>(source.keys, source.values, frame, as_written);
  CHECK((gather(view, std::vector<std::int64_t>{9, 3, 0, 4}).view().frame().edits() ==
         std::vector{noise({0, 1}, {{1, 1}, {3, 1}})}));
  CHECK(gather(view, std::vector<std::int64_t>{9, 0}).view().frame().edits().empty());
  const std::vector<slot_choice> by_layer{std::vector<std::int64_t>{2, 3}, std::vector<std::int64_t>{5, 3}};
  CHECK((gather(view, by_layer).view().frame().edits() == std::vector{noise({0}, {{0, 2}}), noise({1}, {{1, 1}})}));
}

TEST_CASE("a slot that is named twice would give two keys one position, which has to be asked for", "[cache][gather]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::none);
  const std::vector<std::int64_t> twice = {4, 2, 4};
  CHECK_THAT(message_of<frame_error>([&] { gather(source.view(), twice); }), contains("slot 4 twice"));
  CHECK_THROWS_AS(gather(source.view(), std::vector<slot_choice>{std::vector<std::int64_t>{1, 2}, twice}), frame_error);
  CHECK(gather(source.view(), twice, position_overlap::allowed).length() == 3);
  CHECK_NOTHROW(gather(source.view(), std::vector<std::int64_t>{-1, -1, 4}));
}

TEST_CASE("layers that choose for themselves keep their own tokens, through what comes after", "[cache][gather]") {
  const rotary_specification specification{.inv_freq = {1.0F, 0.1F}};
  cache_frame frame(2, layer_frame{position_map::consecutive(0, 4), {specification}});
  frame.set_token_ids({{7, 8, 9, 10}});
  const std::vector<at::Tensor> tensors(2, at::zeros({1, 1, 4, 4}, at::kFloat));
  const cache source(tensors, {tensors[0].clone(), tensors[1].clone()}, frame);
  const cache kept = gather(
      source.view(), std::vector<slot_choice>{std::vector<std::int64_t>{0, 3}, std::vector<std::int64_t>{1, 2, 3}});
  using rows = cache_frame::token_rows;
  const cache_frame& left = kept.target();
  CHECK(left.token_ids().empty());  // there is no one text any more
  CHECK(left.token_ids(0) == rows{{7, 10}});
  CHECK(left.token_ids(1) == rows{{8, 9, 10}});
  CHECK(left.slice(1, 2).token_ids(0) == rows{{10}});
  CHECK(left.slice(1, 2).token_ids(1) == rows{{9}});
  CHECK(left.of_layer(1).token_ids() == rows{{8, 9, 10}});
  CHECK(left.followed_by(frame).token_ids(1) == rows{{8, 9, 10, 7, 8, 9, 10}});
  CHECK(left.select_batch({0, 0}).token_ids(0) == rows{{7, 10}, {7, 10}});
}
