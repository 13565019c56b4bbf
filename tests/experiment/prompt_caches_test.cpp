#include "kvtransfer/experiment/prompt_caches.hpp"

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const void* storage_of(const cache_view<>& kv) { return kv.layer(0).stored_keys().const_data_ptr(); }

/// Whether two caches hold the same keys and values in the same frame, but for the rounding of other sums.
bool same_numbers(const cache_view<>& a, const cache_view<>& b) {
  bool same = a.frame() == b.frame();
  for (std::int64_t layer = 0; same && layer < a.layers(); ++layer) {
    same = max_difference(a.layer(layer).keys(), b.layer(layer).keys()) < 1e-4 &&
           max_difference(a.layer(layer).values(), b.layer(layer).values()) < 1e-4;
  }
  return same;
}

}  // namespace

TEST_CASE("a text is read once however often its cache is asked for", "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  const cache_view<> first = caches.prefill(some_tokens(6));
  CHECK(storage_of(caches.prefill(some_tokens(6))) == storage_of(first));
  CHECK(caches.made() == 1);
  CHECK(same_numbers(first, prefill(model, {some_tokens(6)}).view()));
  CHECK(storage_of(caches.prefill(some_tokens(7))) != storage_of(first));
  CHECK(caches.made() == 2);
}

TEST_CASE("a continued text is what generating leaves", "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  const auto free = said_after(model, some_tokens(6), {.max_new_tokens = 9});
  for (const generation_config& settings :
       {generation_config{.max_new_tokens = 9}, generation_config{.max_new_tokens = 9, .eos_token_ids = {free[4]}},
        generation_config{.max_new_tokens = 9, .temperature = 1.5, .seeds = {7}}}) {
    const continued_text made = caches.continued({some_tokens(6)}, settings);
    generation_output expected = generate(model, plan_of({some_tokens(6)}), settings);
    CHECK(made.said.token_ids == expected.sequences.front().token_ids);
    CHECK(same_numbers(made.cached, std::move(expected.running).release().view()));
  }
}

TEST_CASE("an end-of-text token is read where the text asks for it", "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  const auto free = said_after(model, some_tokens(6), {.max_new_tokens = 9});
  const generation_config settings{.max_new_tokens = 9, .eos_token_ids = {free[4]}};
  const continued_text without = caches.continued({some_tokens(6), false}, settings);
  const continued_text with = caches.continued({some_tokens(6), true}, settings);
  CHECK(with.cached.size() == without.cached.size() + 1);
  CHECK(with.cached.frame().token_ids().front().back() == free[4]);
  const generation_config endless{.max_new_tokens = 9};
  CHECK(caches.continued({some_tokens(6), true}, endless).cached.size() == 6 + 8);
}

TEST_CASE("continuations that draw nothing are made once for all seeds, others once a seed",
          "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  for (const std::uint64_t seed : {1, 2, 1}) {
    (void)caches.continued({some_tokens(6)}, {.max_new_tokens = 5, .seeds = {seed}});
  }
  CHECK(caches.made() == 1);
  for (const std::uint64_t seed : {1, 2, 1}) {
    (void)caches.continued({some_tokens(6)}, {.max_new_tokens = 5, .temperature = 1.5, .seeds = {seed}});
  }
  CHECK(caches.made() == 3);
  (void)caches.continued({some_tokens(6)}, {.max_new_tokens = 6});
  CHECK(caches.made() == 4);
}

TEST_CASE("past its bytes a store gives up what was asked for longest ago, and views of it stay",
          "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  const cache kept = prefill(model, {some_tokens(6)});
  std::int64_t of_one = 0;
  for (std::int64_t layer = 0; layer < kept.layers(); ++layer) {
    of_one += static_cast<std::int64_t>(2 * kept.view().layer(layer).stored_keys().nbytes());
  }
  prompt_caches caches(model, 2 * of_one);
  const cache_view<> first = caches.prefill(some_tokens(6, 1));
  (void)caches.prefill(some_tokens(6, 2));
  (void)caches.prefill(some_tokens(6, 1));
  (void)caches.prefill(some_tokens(6, 3));  // in place of the second
  (void)caches.prefill(some_tokens(6, 1));
  CHECK(caches.made() == 3);
  (void)caches.prefill(some_tokens(6, 2));
  CHECK(caches.made() == 4);
  (void)caches.prefill(some_tokens(6, 4));
  CHECK(same_numbers(first, prefill(model, {some_tokens(6, 1)}).view()));
}

TEST_CASE("conditions and trials share the caches of their prompts", "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const any_condition& condition : condition_registry::standard().parse("matrix")) {
      (void)condition.prepare(caches, sample_prompts(), {.max_new_tokens = 5, .seeds = {seed}});
    }
  }
  CHECK(caches.made() == 4);  // of the source, the target without its last token, and each of them continued
}

TEST_CASE("a store that defers notes continuations, makes them together, and has them then",
          "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  const generation_config settings{.max_new_tokens = 5};
  caches.defer_continuations(true);
  CHECK_THROWS_AS(caches.continued({some_tokens(6)}, settings), continuation_deferred);
  CHECK_THROWS_AS(caches.continued({some_tokens(4)}, settings), continuation_deferred);
  CHECK_THROWS_AS(caches.continued({some_tokens(6)}, settings), continuation_deferred);
  CHECK(caches.made() == 0);
  caches.make_deferred();
  CHECK(caches.made() == 2);
  CHECK(caches.continued({some_tokens(4)}, settings).said.token_ids == said_after(model, some_tokens(4), settings));
  caches.make_deferred();
  CHECK(caches.made() == 2);
}

TEST_CASE("of what a store that defers has noted, it makes as much as it has room for", "[experiment][prompt_caches]") {
  const causal_lm model = small_model();
  const generation_config settings{.max_new_tokens = 5};
  prompt_caches whole(model);
  whole.continue_all({{{some_tokens(6)}, settings}});
  const cache_view<> kept = whole.continued({some_tokens(6)}, settings).cached;
  const auto bytes = kept.layers() * 2 * static_cast<std::int64_t>(kept.layer(0).stored_keys().nbytes());
  prompt_caches caches(model, 5 * bytes);  // two of them are less than half
  caches.defer_continuations(true);
  const auto ask = [&](std::int64_t first) { return caches.continued({some_tokens(6, first)}, settings).said; };
  for (std::int64_t made = 0; made < 6; made += 2) {
    for (std::int64_t i = made; i < 6; ++i) {
      CHECK_THROWS_AS(ask(i), continuation_deferred);
    }
    caches.make_deferred();
    CHECK(caches.made() == made + 2);
    CHECK(ask(made).token_ids == said_after(model, some_tokens(6, made), settings));
    CHECK(ask(made + 1).token_ids == said_after(model, some_tokens(6, made + 1), settings));
  }
  prompt_caches narrow(model, 1);
  narrow.defer_continuations(true);
  CHECK_THROWS_AS(narrow.continued({some_tokens(6)}, settings), continuation_deferred);
  narrow.make_deferred();
  CHECK(narrow.continued({some_tokens(6)}, settings).said.token_ids == said_after(model, some_tokens(6), settings));
}
