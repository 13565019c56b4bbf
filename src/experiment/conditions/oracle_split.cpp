#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/inject/prepend.hpp"

namespace kvtransfer::conditions {

namespace {

/// The first `count` tokens of a text, and the others.
std::pair<prompt_text, prompt_text> cut(const prompt_text& text, std::int64_t count) {
  std::pair<prompt_text, prompt_text> halves;
  for (const prompt_part& part : text) {
    const std::int64_t here = std::clamp<std::int64_t>(count, 0, static_cast<std::int64_t>(part.token_ids.size()));
    if (here > 0) {
      halves.first.push_back({part.role, {part.token_ids.begin(), part.token_ids.begin() + here}});
    }
    if (here < static_cast<std::int64_t>(part.token_ids.size())) {
      halves.second.push_back({part.role, {part.token_ids.begin() + here, part.token_ids.end()}});
    }
    count -= here;
  }
  return halves;
}

struct oracle_split_condition {
  [[nodiscard]] condition_description describe() const {
    return {.id = "oracle_split",
            .title = "Text oracle in two chunks",
            .injected = "what the text oracle reads, in two chunks: the first half is injected, the second is fed",
            .tells = "the floor of the run's precision: what else differs from the text oracle by as much is rounding",
            .reference = "text_oracle",
            .must_equal_reference = true};
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    return chunk(prompts) < 1 ? std::optional<std::string>("the text is too short to be cut elsewhere than a transfer")
                              : std::nullopt;
  }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.whole());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config&) const {
    const auto [first, second] = cut(prompts.whole(), chunk(prompts));
    return {prepend(caches.prefill(ids_of(first)), {ids_of(second)}),
            joined(parts_of(first, true), parts_of(second, false))};
  }

 private:
  /// Half of the text, but not where a transfer cuts it.
  static std::int64_t chunk(const prompt_ids& prompts) {
    const std::int64_t half = count_of(prompts.whole()) / 2;
    return half == count_of(prompts.head) ? half - 1 : half;
  }
};

}  // namespace

any_condition oracle_split() { return oracle_split_condition{}; }

}  // namespace kvtransfer::conditions
