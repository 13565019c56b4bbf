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

struct as_reported_transfer_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "as_reported_transfer";
    description.title = "As reported: transfer";
    description.injected =
        "the cache that generating from BOS and the source leaves, its EOS fed too; the target is fed with its own "
        "BOS at the positions that follow";
    description.tells = "a harness that gives the report's column";
    description.reference = "text_oracle";
    description.reconstructs = "transfer";
    description.mistake =
        "The cache is taken after generation and ends with EOS, and the target begins with a second BOS: a model "
        "trained on packed texts reads both as “another text begins here” and leaves the source out of account.";
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    return begins_with_bos(prompts.alone())
               ? std::nullopt
               : std::optional<std::string>("this model puts no BOS in front of a text, so there is no second one");
  }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const {
    constexpr std::int64_t eos = 1;
    return count_of(prompts.head) + max_new_tokens + eos + count_of(prompts.alone());
  }

  /// Where generation ends by length there is no EOS to feed.
  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config& settings) const {
    const continued_text first = caches.continued({ids_of(prompts.head), true}, settings);
    const std::int64_t eos = first.said.eos_token_id ? 1 : 0;
    sequence parts = parts_of(prompts.head, true);
    parts.push_back({token_role::generated, first.cached.size() - length_of(parts) - eos, true});
    if (eos > 0) {
      parts.push_back({token_role::eos, eos, true});
    }
    return {prepend(first.cached, {ids_of(prompts.alone())}),
            joined(std::move(parts), parts_of(prompts.alone(), false))};
  }
};

}  // namespace

any_condition as_reported_transfer() { return as_reported_transfer_condition{}; }

}  // namespace kvtransfer::conditions
