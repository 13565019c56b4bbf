#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer::detail {

/// What the text oracle answers to a test's prompts, greedily: the one continuation along which every condition of the
/// test is measured, so that all are asked about the same tokens.
struct oracle_reference {
  /// Where a marker's probability is read.
  struct marker_place {
    slot_range in_answer = {};                 ///< tokens of the answer that spell it; empty: it is not there
    std::vector<std::int64_t> token_ids = {};  ///< then: its own tokens, read in the place of the answer
  };

  std::vector<std::int64_t> answer;   ///< tokens, the end-of-text token that ended it included
  at::Tensor logits;                  ///< `[seq, vocab_size]`, in front of each
  std::vector<marker_place> markers;  ///< one a marker
};

/// Has the model answer. @param settings how conditions are run; here the temperature is 0
/// @return nothing where source and target together are longer than the model reads
[[nodiscard]] std::optional<oracle_reference> read_oracle(const causal_lm& model, const prompt_encoding& encoding,
                                                          const test_case& test, const prompt_ids& prompts,
                                                          generation_config settings);

/// Fills in what a trial's record says of its plan along the oracle's answer: the markers' log-probability and the
/// divergence of next tokens. Nothing where the condition leaves no room for the answer.
void measure_along(const oracle_reference& oracle, const causal_lm& model, const plan& input, trial_record& trial);

}  // namespace kvtransfer::detail
