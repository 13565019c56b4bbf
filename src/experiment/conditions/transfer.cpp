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

struct transfer_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "transfer";
    description.title = "Transfer";
    description.injected =
        "the cache of the source, behind BOS where the model adds one; the target is fed, without a second BOS, at the "
        "positions that follow";
    description.tells = "the experiment: it must equal the text oracle";
    description.reference = "text_oracle";
    description.must_equal_reference = true;
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.whole());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config&) const {
    return {prepend(caches.prefill(ids_of(prompts.head)), {ids_of(prompts.tail)}),
            joined(parts_of(prompts.head, true), parts_of(prompts.tail, false))};
  }
};

}  // namespace

any_condition transfer() { return transfer_condition{}; }

}  // namespace kvtransfer::conditions
