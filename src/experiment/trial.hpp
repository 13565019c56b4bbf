#pragma once

#include <cstdint>

#include "kvtransfer/experiment/concepts.hpp"
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

/// What a record keeps of what a trial read. @param seed the trial's
[[nodiscard]] trial_record record_of(const prepared_input& read, std::uint64_t seed);

/// A record of what a trial read, with what was generated behind it.
[[nodiscard]] trial_record with_completion(trial_record trial, const completion& made, const any_tokenizer& text,
                                           const test_case& test);

}  // namespace kvtransfer::detail
