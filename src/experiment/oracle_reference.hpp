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
#include "kvtransfer/model/generate_many.hpp"

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
  at::Tensor logits;                  ///< `[seq, vocab_size]`, in front of each, as the model computes them
  std::vector<marker_place> markers;  ///< one a marker
};

/// What the oracle of a test is asked.
struct oracle_question {
  const test_case* test;
  const prompt_ids* prompts;
};

/// Has the model answer, all questions together.
/// @param settings how conditions are run; here the temperature is 0
/// @param how sequences are decoded together
/// @return one a question; nothing where source and target together are longer than the model reads
[[nodiscard]] std::vector<std::optional<oracle_reference>> read_oracles(const causal_lm& model,
                                                                        const prompt_encoding& encoding,
                                                                        const std::vector<oracle_question>& questions,
                                                                        generation_config settings,
                                                                        const batching& how = {});

/// A plan to be measured, and the record that says so.
struct measured_input {
  const oracle_reference* oracle;
  const plan* input;
  trial_record* trial;
};

/// Fills in what trials' records say of their plans along the oracles' answers: the markers' log-probability and the
/// divergence of next tokens. Nothing where a condition leaves no room for the answer. All plans are read together.
void measure_along(const causal_lm& model, const std::vector<measured_input>& inputs, const batching& how = {});

}  // namespace kvtransfer::detail
