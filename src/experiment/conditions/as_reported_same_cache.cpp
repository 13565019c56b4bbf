#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/prepend.hpp"

namespace kvtransfer::conditions {

namespace {

struct as_reported_same_cache_condition {
  condition_description describe() const {
    condition_description description;
    description.id = "as_reported_same_cache";
    description.title = "As reported: same-cache";
    description.injected =
        "the cache that generating from what the baseline reads leaves (its EOS not fed); the target is fed again, "
        "without BOS, at the positions that follow";
    description.tells = "a harness that gives the report's column";
    description.reference = "baseline";
    description.reconstructs = "same_cache";
    description.mistake =
        "The cache is taken after generation, so it holds the question and an answer to it, and then the target is "
        "read a second time: the model continues a text in which its prompt occurs twice.";
    return description;
  }

  std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const {
    return count_of(prompts.alone()) + max_new_tokens + count_of(without_bos(prompts.alone()));
  }

  prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts, const generation_config& settings) const {
    const prompt_text again = without_bos(prompts.alone());
    const continued_text first = caches.continued({ids_of(prompts.alone())}, settings);
    sequence parts = parts_of(prompts.alone(), true);
    parts.push_back({token_role::generated, first.cached.size() - length_of(parts), true});
    return {prepend(first.cached, {ids_of(again)}), joined(std::move(parts), parts_of(again, false))};
  }
};

}  // namespace

any_condition as_reported_same_cache() { return as_reported_same_cache_condition{}; }

}  // namespace kvtransfer::conditions
