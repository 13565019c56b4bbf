#include "model/block_attention.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/session.hpp"
#include "support/memory_watch.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

at::Tensor random_heads(std::uint64_t seed, std::int64_t batch, std::int64_t heads, std::int64_t seq) {
  return at::randn({batch, heads, seq, 8}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

/// The whole mask at once: bool `[batch or 1, heads, queries, slots]`.
at::Tensor whole_mask(const detail::visible_slots& seen, std::int64_t queries, std::int64_t slots,
                      std::int64_t q_heads) {
  const at::Tensor slot = at::arange(slots);
  const at::Tensor query = at::arange(slots - queries, slots).unsqueeze(1);
  at::Tensor mask = slot.le(query).unsqueeze(0).unsqueeze(0);
  at::Tensor number = slot.add(1).view({1, 1, -1});
  if (seen.visible.defined()) {
    mask = mask.logical_and(seen.visible.unsqueeze(2).logical_or(slot.eq(query)));
    number = seen.visible.cumsum(2);
  }
  if (seen.window) {
    mask = mask.logical_and(number.unsqueeze(2).gt(number.slice(2, slots - queries).unsqueeze(3).sub(*seen.window)));
  }
  return mask.size(1) == 1 ? mask : mask.repeat_interleave(q_heads / mask.size(1), 1);
}

struct block_case {
  std::int64_t batch;
  std::int64_t prefix;
  std::int64_t keys;
  std::int64_t queries;
  std::int64_t visible_heads;  // 0: all slots are visible
  std::optional<std::int64_t> window = {};
  std::optional<double> softcap = {};
};

}  // namespace

TEST_CASE("attention block by block is attention at once behind a mask", "[model][block_attention]") {
  for (const block_case& c :
       {block_case{1, 0, 300, 300, 0}, block_case{2, 0, 5000, 270, 0}, block_case{2, 2100, 600, 513, 1},
        block_case{1, 0, 4500, 600, 0, 100}, block_case{2, 2050, 700, 700, 2, 300},
        block_case{1, 30, 2300, 2, 2, {}, 5.0}, block_case{2, 0, 300, 1, 1, 7}}) {
    CAPTURE(c.batch, c.prefix, c.keys, c.queries, c.visible_heads, c.window.value_or(0));
    const attention_specification how{1 / std::sqrt(8.0), c.softcap, c.window};
    detail::shared_prefix prefix;
    if (c.prefix > 0) {
      prefix = {1, random_heads(1, 1, 2, c.prefix), random_heads(2, 1, 2, c.prefix)};
    }
    const at::Tensor q = random_heads(3, c.batch, 6, c.queries);
    const at::Tensor k = random_heads(4, c.batch, 2, c.keys);
    const at::Tensor v = random_heads(5, c.batch, 2, c.keys);
    const std::int64_t slots = c.prefix + c.keys;
    detail::visible_slots seen;
    seen.window = c.window;
    if (c.visible_heads > 0) {
      seen.visible = at::rand({c.batch, c.visible_heads, slots}, at::make_generator<at::CPUGeneratorImpl>(6)).lt(0.7);
      seen.ordinals = c.window ? seen.visible.cumsum(2) : at::Tensor();
    }
    const at::Tensor expected =
        detail::attend_behind(how, prefix, q, k, v, {whole_mask(seen, c.queries, slots, 6), false});
    CHECK(max_difference(detail::attend_in_blocks(how, prefix, q, k, v, seen), expected) < 1e-5);
  }
}

TEST_CASE("tokens behind a long cache are read without a mask of all of them by all slots",
          "[model][block_attention]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 8192;
  const causal_lm model = small_model(1, config);
  constexpr std::int64_t half = 2000;
  const std::vector<std::int64_t> text = some_tokens(2 * half);
  const cache first = prefill(model, {{text.begin(), text.begin() + half}});
  const session whole(model, plan_of({text}));
  const memory_watch watch;
  const session behind(model, prepend(first.view(), {{text.begin() + half, text.end()}}));
  CHECK(max_difference(behind.logits(), whole.logits()) < 1e-4);
  CHECK(watch.peak() < 4 * half * 2 * half);  // bytes: the scores of one of the four heads alone would be as large
}
