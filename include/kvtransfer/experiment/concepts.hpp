#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/condition_description.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer {

struct generation_config;
class prompt_caches;

/// What a condition has the model read, one sequence.
struct prepared_input {
  plan input;      ///< runs as it is
  sequence parts;  ///< what it consists of, injected slots included
};

/// A way of putting a source prompt in front of a target prompt.
///
/// - `describe()`: what it is, for tables and files.
/// - `not_applicable(prompts)`: why it can't be done with this model and these prompts; nothing where it can.
/// - `tokens_needed(prompts, max_new_tokens)`: positions in front of the first generated token, at most.
/// - `prepare(caches, prompts, settings)`: the plan. What it injects it asks of `caches`, which the run shares among
/// its
///   conditions and trials, so that no text is read twice. `settings` holds one seed, the trial's.
///
/// A condition that looks at other tests of its suite, or at the model, has `within(suite_prompts)` too, which gives
/// the same condition that knows them; the others are asked of that one. One that is a point of the space of conditions
/// has `point()`, so that policies can narrow it.
///
/// One whose outcome depends on more than the model, the test and the condition's id, on a file say, has
/// `depends_on(prompts)` too: a text, a digest say, that is another one when that has changed. A resumed run keeps
/// trials where it is the same.
template <class T>
concept Condition = std::copyable<T> && requires(const T condition, prompt_caches& caches, const prompt_ids& prompts,
                                                 const generation_config& settings, std::int64_t max_new_tokens) {
  { condition.describe() } -> std::same_as<condition_description>;
  { condition.not_applicable(prompts) } -> std::same_as<std::optional<std::string>>;
  { condition.tokens_needed(prompts, max_new_tokens) } -> std::same_as<std::int64_t>;
  { condition.prepare(caches, prompts, settings) } -> std::same_as<prepared_input>;
};

}  // namespace kvtransfer
