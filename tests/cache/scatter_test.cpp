#include "kvtransfer/cache/scatter.hpp"

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/compare.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/select_heads.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Four slots of each row and head, none twice.
at::Tensor places_by_head(std::int64_t kv_heads) {
  std::vector<std::int64_t> slots;
  for (std::int64_t row = 0; row < reference_batch * kv_heads; ++row) {
    for (std::int64_t i = 0; i < 4; ++i) {
      slots.push_back(row % 2 == 1 && i == 2 ? -1 : (row + 3 * i) % reference_seq);
    }
  }
  return integer_tensor(slots, at::kCPU).view({reference_batch, kv_heads, 4});
}

void check_scatters(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const std::int64_t kv_heads = reference.layer(0).extents().kv_heads;
    const cache moved_elsewhere = gather(reference, std::vector<std::int64_t>{7, 8, 9, 10});
    for (const at::Tensor& slots : {places_by_head(kv_heads), places_by_head(1).squeeze(1), places_by_head(1)[0][0]}) {
      require_same(scatter(view, slots, moved_elsewhere.view(), position_overlap::allowed).view(),
                   scatter(reference, slots, moved_elsewhere.view(), position_overlap::allowed).view());
    }
    const std::vector<std::int64_t> some = {6, 0, 5};
    const cache back = scatter(view, some, gather(view, some).view());
    REQUIRE(back.view().frame().has_layers_of(reference.frame()));
    REQUIRE(compare(back.view(), reference).largest() == 0);
  });
}

}  // namespace

TEST_CASE("a scatter in any layout is the scatter of the cache", "[cache][scatter]") { check_scatters(at::kCPU); }

TEST_CASE("a scatter in any layout is the scatter of the cache, on a GPU", "[cache][scatter][cuda]") {
  if (cuda_available()) {
    check_scatters(at::kCUDA);
  }
}

TEST_CASE("what was scattered can be gathered again, and the rest has not changed", "[cache][scatter]") {
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  const cache source = gather(into.view(), at::tensor({10, 9, 8, 7}, at::kLong));
  const at::Tensor slots = places_by_head(2);
  const cache mixed = scatter(into.view(), slots, source.view(), position_overlap::allowed);
  const at::Tensor held = (slots >= 0).unsqueeze(-1);
  const at::Tensor back = gather(mixed.view(), slots).view().layer(1).keys();
  CHECK(at::equal(back, source.view().layer(1).keys() * held));
  at::Tensor untouched = at::ones({reference_batch, 2, reference_seq}, at::kBool);
  for (std::int64_t b = 0; b < reference_batch; ++b) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = 0; i < 4; ++i) {
        if (const auto slot = slots[b][h][i].item<std::int64_t>(); slot >= 0) {
          untouched[b][h][slot] = false;
          CHECK(mixed.view().frame().layer(0).positions.row(0, b, h).slice(slot, slot + 1) ==
                source.view().frame().layer(0).positions.row(0, b, h).slice(i, i + 1));
        }
      }
    }
  }
  const at::Tensor mask = untouched.unsqueeze(-1);
  CHECK(at::equal(mixed.view().layer(0).values() * mask, into.values[0] * mask));
}

TEST_CASE("token ids go with their slots", "[cache][scatter]") {
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  const cache source = gather(into.view(), std::vector<std::int64_t>{10, 9});
  const cache mixed = scatter(into.view(), std::vector<std::int64_t>{0, 4}, source.view(), position_overlap::allowed);
  CHECK(mixed.view().frame().token_ids()[1] ==
        std::vector<std::int64_t>{1010, 1001, 1002, 1003, 1009, 1005, 1006, 1007, 1008, 1009, 1010});
  CHECK(scatter(into.view(), places_by_head(2).slice(2, 0, 2), source.view(), position_overlap::allowed)
            .view()
            .frame()
            .token_ids()
            .empty());
}

TEST_CASE("scatters that the frames or shapes do not justify are refused", "[cache][scatter]") {
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  const cache two = gather(into.view(), std::vector<std::int64_t>{10, 9});
  const auto scattered = [&](const std::vector<std::int64_t>& slots, const cache& source) {
    scatter(into.view(), slots, source.view());
  };
  CHECK_THROWS_AS(scattered({1}, two), shape_error);
  CHECK_THROWS_AS(scattered({1, 1}, two), shape_error);
  CHECK_THROWS_AS(scattered({1, 11}, two), shape_error);
  CHECK_THROWS_AS(scattered({1, 2}, select_heads(two.view(), {0})), frame_error);
  cache unrotated_keys = two.clone();
  unrotated_keys.unrotate();
  unrotated_keys.materialize();
  CHECK_THROWS_AS(scattered({1, 2}, unrotated_keys), frame_error);
  const auto keys_of = [](const cache& kv) {
    return std::vector<at::Tensor>{kv.view().layer(0).keys(), kv.view().layer(1).keys()};
  };
  const auto values_of = [](const cache& kv) {
    return std::vector<at::Tensor>{kv.view().layer(0).values(), kv.view().layer(1).values()};
  };
  cache_frame other_model = two.view().frame();
  other_model.set_origin(model_identity{"another model"});
  CHECK_THROWS_AS(scatter(into.view(), std::vector<std::int64_t>{1, 2},
                          cache_view<>(keys_of(two), values_of(two), other_model, as_written)),
                  frame_error);
}

TEST_CASE("a gradient passes through a scatter to both sides", "[cache][scatter]") {
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  const std::vector<at::Tensor> keys = {into.keys[0].clone().requires_grad_(), into.keys[1]};
  const std::vector<at::Tensor> added = {into.keys[0].slice(2, 0, 1).clone().requires_grad_(),
                                         into.keys[1].slice(2, 0, 1)};
  const std::vector<at::Tensor> added_values = {into.values[0].slice(2, 0, 1), into.values[1].slice(2, 0, 1)};
  const cache mixed = scatter(cache_view<>(keys, into.values, into.frame), std::vector<std::int64_t>{3},
                              cache_view<>(added, added_values, into.frame.slice(0, 1)), position_overlap::allowed);
  mixed.view().layer(0).keys().sum().backward();
  CHECK(added[0].grad().sum().item<double>() == added[0].numel());
  CHECK(keys[0].grad().sum().item<double>() == keys[0].numel() - added[0].numel());
  CHECK(keys[0].grad().select(2, 3).abs().sum().item<double>() == 0);
}

TEST_CASE("slots of another cache are an edit, and bring those that they carry", "[cache][scatter]") {
  const auto edited = [](edit_kind kind, std::vector<slot_range> slots, const std::string& origin) {
    return cache_edit{kind, cache_half::both, {0, 1}, {}, std::move(slots), origin};
  };
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  cache_frame noisy = into.frame;
  noisy.add_edit(edited(edit_kind::noise, {{2, 4}}, "seed 1"));
  const auto first_three = [](std::vector<at::Tensor> tensors) {
    for (at::Tensor& tensor : tensors) {
      tensor = tensor.slice(2, 0, 3);
    }
    return tensors;
  };
  cache_frame blended = into.frame.slice(0, 3);
  blended.add_edit(edited(edit_kind::blend, {{1, 1}}, "elsewhere"));
  const cache mixed = scatter(
      cache_view<>(into.keys, into.values, noisy, as_written), std::vector<std::int64_t>{3, 7, -1},
      cache_view<>(first_three(into.keys), first_three(into.values), blended, as_written), position_overlap::allowed);
  CHECK((mixed.view().frame().edits() ==
         std::vector{edited(edit_kind::noise, {{2, 1}, {4, 2}}, "seed 1"),
                     edited(edit_kind::blend, {{7, 1}}, "elsewhere"),
                     edited(edit_kind::mixture, {{3, 1}, {7, 1}}, detail::origin_text(into.frame))}));
}

TEST_CASE("a key is not put where one that stays stands, in its row and head", "[cache][scatter]") {
  const reference_cache into = reference_in(at::kFloat, padding_side::none);
  const cache three = gather(into.view(), std::vector<std::int64_t>{3, 4, 5});
  const std::vector<std::int64_t> elsewhere = {3, 8, 5};
  CHECK_THAT(message_of<frame_error>([&] { scatter(into.view(), elsewhere, three.view()); }),
             contains("expected positions that only one cache holds"));
  CHECK(scatter(into.view(), elsewhere, three.view(), position_overlap::allowed).length() == reference_seq);
  CHECK_NOTHROW(scatter(into.view(), std::vector<std::int64_t>{5, 3, 4}, three.view()));
  CHECK_NOTHROW(scatter(into.view(), std::vector<std::int64_t>{3, -1, 5}, three.view()));
}
