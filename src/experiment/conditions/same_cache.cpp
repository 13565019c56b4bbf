#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/prepend.hpp"

namespace kvtransfer::conditions {

namespace {

struct same_cache_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "same_cache";
    description.title = "Same-cache";
    description.injected = "the cache of what the baseline reads, without the last token; that token is fed";
    description.tells = "whether injection is exact: it must equal the baseline";
    description.reference = "baseline";
    description.must_equal_reference = true;
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    const bool nothing_left = count_of(prompts.alone()) < 2;
    return nothing_left
               ? std::optional<std::string>("the target is a single token, so its cache without the last one is empty")
               : std::nullopt;
  }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.alone());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config&) const {
    const auto [cached, last] = without_last_token(prompts.alone());
    return {prepend(caches.prefill(ids_of(cached)), {last.token_ids}),
            joined(parts_of(cached, true), parts_of({last}, false))};
  }
};

}  // namespace

any_condition same_cache() { return same_cache_condition{}; }

}  // namespace kvtransfer::conditions
