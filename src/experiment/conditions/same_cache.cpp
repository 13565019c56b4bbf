#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer::conditions {

namespace {

struct same_cache_condition {
  condition_description describe() const {
    condition_description description;
    description.id = "same_cache";
    description.title = "Same-cache";
    description.injected = "the cache of BOS and the target without its last token; that token is fed";
    description.tells = "whether injection is exact: it must equal the baseline";
    description.reference = "baseline";
    description.must_equal_reference = true;
    return description;
  }

  std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    const bool nothing_left = bos_count(prompts) + count_of(prompts.target) < 2;
    return nothing_left
               ? std::optional<std::string>("the target is a single token, so its cache without the last one is empty")
               : std::nullopt;
  }

  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return bos_count(prompts) + count_of(prompts.target);
  }

  prepared_input prepare(const causal_lm& model, const prompt_ids& prompts, const generation_config&) const {
    std::vector<std::int64_t> cached = begun_text(prompts, prompts.target);
    const std::int64_t last = cached.back();
    cached.pop_back();
    const cache own = prefill(model, {std::move(cached)});
    sequence parts = begun_parts(prompts, token_role::target, count_of(prompts.target) - 1, true);
    parts.push_back({token_role::target, 1, false});
    return {prepend(own.view(), {{last}}), std::move(parts)};
  }
};

}  // namespace

any_condition same_cache() { return same_cache_condition{}; }

}  // namespace kvtransfer::conditions
