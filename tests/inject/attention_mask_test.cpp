#include "kvtransfer/inject/attention_mask.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>

#include <random>

#include "cache/known_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Whether query `token` of `tokens` sees `slot`: it is the query's own slot, or a visible one before it.
bool sees(const at::Tensor& visible, std::int64_t tokens, std::int64_t batch, std::int64_t head, std::int64_t token,
          std::int64_t slot) {
  const std::int64_t own = visible.size(2) - tokens + token;
  return slot == own || (slot < own && visible[batch][head][slot].item<bool>());
}

at::Tensor random_visibility(std::uint64_t seed, std::int64_t batch, std::int64_t heads, std::int64_t slots) {
  return at::rand({batch, heads, slots}, at::make_generator<at::CPUGeneratorImpl>(seed)) < 0.6;
}

/// One segment of a cache with three tokens in each of two rows, the second behind padding.
segment padded_segment(at::Tensor visible = {}) {
  position_row behind_padding = position_row::consecutive(0, 1, slot_state::padding());
  behind_padding.append(position_row::consecutive(0, 2));
  const layer_frame frame{position_map(1, 2, 1, {position_row::consecutive(0, 3), behind_padding}),
                          {known_specification()}};
  return {known_cache_in(cache_frame(1, frame)).kv.view(), 0, std::move(visible)};
}

}  // namespace

TEST_CASE("a mask agrees with a loop over rows, heads, tokens and slots", "[inject][attention_mask]") {
  std::mt19937 random(5);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const auto batch = static_cast<std::int64_t>(1 + random() % 3);
    const auto heads = static_cast<std::int64_t>(1 + random() % 3);
    const auto group = static_cast<std::int64_t>(1 + random() % 3);
    const auto tokens = static_cast<std::int64_t>(1 + random() % 4);
    const auto slots = tokens + static_cast<std::int64_t>(random() % 5);
    const at::Tensor visible = random_visibility(seed, batch, heads, slots);
    const at::Tensor mask = attention_mask(visible, tokens, heads * group);
    REQUIRE(mask.scalar_type() == at::kBool);
    REQUIRE(mask.sizes() == at::IntArrayRef({batch, heads == 1 ? 1 : heads * group, tokens, slots}));
    at::Tensor expected = at::zeros(mask.sizes(), at::TensorOptions().dtype(at::kBool));
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t h = 0; h < mask.size(1); ++h) {
        for (std::int64_t token = 0; token < tokens; ++token) {
          for (std::int64_t slot = 0; slot < slots; ++slot) {
            expected[b][h][token][slot].fill_(sees(visible, tokens, b, h / group * (heads > 1), token, slot));
          }
        }
      }
    }
    REQUIRE(at::equal(mask, expected));
  }
}

TEST_CASE("every query sees a slot, so that no row of a softmax is empty", "[inject][attention_mask]") {
  const at::Tensor nothing = at::zeros({2, 1, 6}, at::TensorOptions().dtype(at::kBool));
  CHECK(attention_mask(nothing, 4, 2).any(-1).all().item<bool>());
}

TEST_CASE("without padding the mask is causal", "[inject][attention_mask]") {
  const at::Tensor all = at::ones({1, 1, 5}, at::TensorOptions().dtype(at::kBool));
  CHECK(at::equal(attention_mask(all, 5, 4)[0][0], at::ones({5, 5}).tril().to(at::kBool)));
}

TEST_CASE("query heads that do not share KV heads evenly, or more tokens than slots, are refused",
          "[inject][attention_mask]") {
  CHECK_THROWS_AS(attention_mask(random_visibility(1, 1, 2, 5), 3, 3), shape_error);
  CHECK_THROWS_AS(attention_mask(random_visibility(1, 1, 1, 2), 3, 1), shape_error);
}

TEST_CASE("a segment shows what is not padding", "[inject][attention_mask]") {
  const at::Tensor visible = segment_visibility(padded_segment(), at::kCPU);
  CHECK(visible.sizes() == at::IntArrayRef({2, 1, 3}));
  CHECK(visible.sum().item<std::int64_t>() == 5);
  CHECK_FALSE(visible[1][0][0].item<bool>());
}

TEST_CASE("a plan's own visibility hides more, head by head, and never shows padding", "[inject][attention_mask]") {
  at::Tensor shown = at::ones({2, 2, 3}, at::TensorOptions().dtype(at::kBool));
  shown[0][1][2].fill_(false);
  const at::Tensor visible = segment_visibility(padded_segment(shown), at::kCPU);
  CHECK(visible.sizes() == at::IntArrayRef({2, 2, 3}));
  CHECK(visible[0][0][2].item<bool>());
  CHECK_FALSE(visible[0][1][2].item<bool>());
  CHECK_FALSE(visible[1][0][0].item<bool>());
  CHECK_FALSE(visible[1][1][0].item<bool>());
}

TEST_CASE("a visibility of another shape or type is refused", "[inject][attention_mask]") {
  const auto bools = at::TensorOptions().dtype(at::kBool);
  for (const at::Tensor& shown : {at::ones({2, 3}, bools), at::ones({1, 1, 3}, bools), at::ones({2, 3, 3}, bools),
                                  at::ones({2, 1, 4}, bools), at::ones({2, 1, 3})}) {
    CHECK_THROWS_AS(segment_visibility(padded_segment(shown), at::kCPU), shape_error);
  }
}
