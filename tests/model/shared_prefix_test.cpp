#include "model/shared_prefix.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <cmath>

#include "kvtransfer/cache/reorder.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/slow_reference.hpp"
#include "support/memory_watch.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::attend_behind;
using kvtransfer::detail::shared_prefix;
using kvtransfer::detail::shared_prefix_of;
using namespace kvtransfer::test;

namespace {

/// How heads of width 8 attend where nothing is special.
const attention_specification plain{1 / std::sqrt(8.0), {}, {}};

at::Tensor random_rows(std::uint64_t seed, std::int64_t batch, std::int64_t heads, std::int64_t seq) {
  return at::randn({batch, heads, seq, 8}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

at::Tensor expanded(const at::Tensor& rows, std::int64_t batch) { return rows.expand({batch, -1, -1, -1}); }

/// What torch's own attention makes of the prefix, copied for every sequence, and of what stands behind it.
at::Tensor attention_on_copies(const shared_prefix& prefix, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v, const std::optional<at::Tensor>& mask) {
  const at::Tensor keys = at::cat({expanded(prefix.keys, q.size(0)), k}, 2);
  const at::Tensor values = at::cat({expanded(prefix.values, q.size(0)), v}, 2);
  return at::scaled_dot_product_attention(q, keys, values, mask, 0.0, false, std::nullopt, true);
}

std::int64_t bytes_of(const cache_view<>& view) {
  std::int64_t bytes = 0;
  for (std::int64_t layer = 0; layer < view.layers(); ++layer) {
    bytes += static_cast<std::int64_t>(view.layer(layer).keys().nbytes() + view.layer(layer).values().nbytes());
  }
  return bytes;
}

}  // namespace

TEST_CASE("attention behind a shared prefix is attention to copies of it", "[model][shared_prefix]") {
  const shared_prefix prefix{1, random_rows(1, 1, 2, 7), random_rows(2, 1, 2, 7)};
  const at::Tensor q = random_rows(3, 3, 6, 4);
  const at::Tensor k = random_rows(4, 3, 2, 5);
  const at::Tensor v = random_rows(5, 3, 2, 5);
  CHECK(max_difference(attend_behind(plain, prefix, q, k, v, {}), attention_on_copies(prefix, q, k, v, std::nullopt)) <
        1e-5);
  for (const std::int64_t heads : {1, 6}) {
    const at::Tensor mask = random_rows(6, 3, heads, 4).select(3, 0).unsqueeze(3).expand({3, heads, 4, 12}) +
                            at::randn({3, heads, 4, 12}, at::make_generator<at::CPUGeneratorImpl>(7));
    const at::Tensor shown = mask > -0.5;
    shown.select(3, 11).fill_(true);
    CHECK(max_difference(attend_behind(plain, prefix, q, k, v, {shown, false}),
                         attention_on_copies(prefix, q, k, v, shown)) < 1e-5);
  }
}

TEST_CASE("scores behind a shared prefix are capped as elsewhere", "[model][shared_prefix]") {
  const attention_specification capped{1, 2.0, {}};
  const shared_prefix prefix{1, random_rows(1, 1, 2, 7), random_rows(2, 1, 2, 7)};
  const at::Tensor q = random_rows(3, 3, 6, 4);
  const at::Tensor k = random_rows(4, 3, 2, 5);
  const at::Tensor expected = kvtransfer::detail::attend(capped, q, at::cat({expanded(prefix.keys, 3), k}, 2),
                                                         at::cat({expanded(prefix.values, 3), k}, 2), {});
  CHECK(max_difference(attend_behind(capped, prefix, q, k, k, {}), expected) < 1e-5);
  CHECK(max_difference(attend_behind({1, {}, {}}, prefix, q, k, k, {}), expected) > 1e-2);
}

TEST_CASE("scores that would not fit at once are taken in turns", "[model][shared_prefix]") {
  const shared_prefix prefix{1, random_rows(1, 1, 1, 4000), random_rows(2, 1, 1, 4000)};
  const at::Tensor q = random_rows(3, 32, 8, 17);  // 17 queries of a million scores each
  const at::Tensor k = random_rows(4, 32, 1, 2);
  const at::Tensor v = random_rows(5, 32, 1, 2);
  const memory_watch watch;
  const at::Tensor got = attend_behind(plain, prefix, q, k, v, {});
  CHECK(watch.peak() < 4 * (std::int64_t{1} << 24) * 5);
  const at::Tensor all = attention_on_copies(prefix, q.slice(0, 0, 4), k.slice(0, 0, 4), v.slice(0, 0, 4), {});
  CHECK(max_difference(all, got.slice(0, 0, 4)) < 1e-5);
}

TEST_CASE("a prefix is what `prepend` shows to all sequences, up to the first segment that they do not share",
          "[model][shared_prefix]") {
  const causal_lm model = small_model();
  const cache one = prefill(model, {some_tokens(5)});
  const cache two = prefill(model, {some_tokens(3), some_tokens(3, 1)});
  const plan shared = prepend(one.view(), {{1}, {2}});
  const shared_prefix prefix = shared_prefix_of(shared.segments(1));
  CHECK(prefix.size() == 5);
  CHECK(prefix.keys.data_ptr() == one.view().layer(1).keys().data_ptr());
  CHECK(shared_prefix_of(prepend(one.view(), {{1}}).segments(1)).segments == 0);
  CHECK(shared_prefix_of({}).size() == 0);
  CHECK(shared_prefix_of(prepend(one.view().slice(2, 2), {{1}, {2}}).segments(1)).segments == 0);
  std::vector<segment> mixed = {shared.segments(1)[0], shared.segments(1)[0], segment(two.view(), 1),
                                shared.segments(1)[0]};
  CHECK(shared_prefix_of(mixed).segments == 2);
  CHECK(shared_prefix_of(mixed).size() == 10);
}

TEST_CASE("sequences over one shared source say what the plan means, whatever is hidden or stands between",
          "[model][shared_prefix]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(6)});
  const cache own = prefill(model, {some_tokens(3, 1), some_tokens(2, 2), some_tokens(3, 3)});
  plan input = prepend(source.view(), {some_tokens(3, 4), some_tokens(1, 5), some_tokens(2, 6)}, place::gap{4});
  input.layers[1].emplace_back(own.view(), 1);
  at::Tensor shown = random_rows(3, 3, 2, 6).select(3, 0) > -0.5;
  input.layers[2].front().visible = shown;
  const at::Tensor expected = reference_logits(model, input);
  CHECK(max_difference(plan_logits(model, input).select(1, input.size() - 1), expected) < 1e-4);
  session running(model, input, 1);
  CHECK(max_difference(running.logits(), expected) < 1e-4);
  running.step({1, 2, 3});
  const at::Tensor stepped = running.logits();
  const cache left = std::move(running).release();
  CHECK(left.view().layer(0).keys().is_contiguous());
  const cache cut(left.view().slice(0, 7));
  CHECK(at::equal(cut.view().layer(0).keys().slice(2, 0, 6), expanded(source.view().layer(0).keys(), 3)));
  for (std::int64_t row = 0; row < 3; ++row) {
    plan alone =
        prepend(source.view(), {joined(input.token_ids[static_cast<std::size_t>(row)], {row + 1})}, place::gap{4});
    alone.layers[1].emplace_back(reorder(own.view(), {row}).view(), 1);
    alone.layers[2].front().visible = shown.slice(0, row, row + 1);
    CHECK(max_difference(stepped[row], session(model, alone).logits()[0]) < 1e-4);
  }
}

TEST_CASE("gradients reach a shared source as they reach copies of it", "[model][shared_prefix]") {
  const shared_prefix values{1, random_rows(1, 1, 2, 7).requires_grad_(true), random_rows(2, 1, 2, 7)};
  const at::Tensor q = random_rows(3, 3, 4, 2);
  const at::Tensor k = random_rows(4, 3, 2, 2);
  attend_behind(plain, values, q, k, k, {}).square().sum().backward();
  const at::Tensor got = values.keys.grad().clone();
  values.keys.mutable_grad().zero_();
  attention_on_copies(values, q, k, k, std::nullopt).square().sum().backward();
  CHECK(max_difference(got, values.keys.grad()) < 1e-4);
}

TEST_CASE("sixty-four sequences over one source hold it once", "[model][shared_prefix]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(180)});
  const std::int64_t shared = bytes_of(source.view());
  std::vector<std::vector<std::int64_t>> texts;
  for (std::int64_t row = 0; row < 64; ++row) {
    texts.push_back(some_tokens(2, row));
  }
  const plan input = prepend(source.view(), texts);
  const memory_watch watch;
  const session running(model, input, 2);
  const std::int64_t own = 64 * 4 * shared / 180;
  CHECK(watch.held() >= shared + own);
  CHECK(watch.held() < 2 * shared + own);
  const generation_output made = generate(model, input, {.max_new_tokens = 2});
  CHECK(watch.held() < 4 * shared + 2 * own);
}
