#pragma once

#include <cstdint>
#include <optional>

#include "experiment/oracle_reference.hpp"
#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"

namespace kvtransfer::detail {

/// `parts` with the token ids and positions that a plan gives them: of its first sequence, injected slots by the layer
/// that has the most. Where those are not as many as the parts have, as they came.
[[nodiscard]] sequence located(sequence parts, const plan& input);

/// What a record keeps of one generation.
/// @param seed the trial's
[[nodiscard]] trial_record record_of(const completion& made, const prepared_input& read, const any_tokenizer& text,
                                     const test_case& test, std::uint64_t seed);

/// Runs one trial: prepares what the condition has the model read, and continues it.
/// @param settings how to generate; its seeds are replaced by `seed`
/// @param oracle what the trial is measured along; nothing: it is not
[[nodiscard]] trial_record run_trial(prompt_caches& caches, const any_tokenizer& text, const any_condition& condition,
                                     const test_case& test, const prompt_ids& prompts, generation_config settings,
                                     std::uint64_t seed, const std::optional<oracle_reference>& oracle);

}  // namespace kvtransfer::detail
