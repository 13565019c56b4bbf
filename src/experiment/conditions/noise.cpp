#include "kvtransfer/inject/noise.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer::conditions {

namespace {

struct noise_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "noise";
    description.title = "Random noise";
    description.injected =
        "random keys and values of the source cache's shape, with its mean and deviation per layer and head; "
        "the target is fed at the positions that follow";
    description.tells = "what a cache without content does";
    description.reference = "baseline";
    description.random = true;
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.whole());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config& settings) const {
    const cache random = moment_matched_noise(caches.prefill(ids_of(prompts.head)), settings.seeds.front());
    return {prepend(random.view(), {ids_of(prompts.tail)}),
            joined({{token_role::noise, random.length(), true}}, parts_of(prompts.tail, false))};
  }
};

}  // namespace

any_condition noise() { return noise_condition{}; }

}  // namespace kvtransfer::conditions
