#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

/// How likely a model holds a continuation, token by token.
struct continuation_score {
  /// `[seq]`, natural logarithms, fp32 (double of a model in double): each token's, given all before it. Differentiable
  /// with respect to weights and injected keys and values.
  at::Tensor log_probs;

  /// The continuation's log-probability: the sum, in double. Without a gradient; `log_probs.sum()` has one.
  [[nodiscard]] double total() const;
};

/// The log-probability of `continuation` behind a plan of one sequence, in one pass: its tokens stand at the positions
/// after the plan's last. Write the end-of-text token where it is meant to count.
/// @throws value_error for an empty continuation or an unknown token, shape_error for a plan of several sequences, and
///         what `plan_logits` throws
[[nodiscard]] continuation_score score(const causal_lm& model, const plan& input,
                                       const std::vector<std::int64_t>& continuation);

/// The same for several continuations at once: one for each sequence of the plan, or any number behind a plan of one
/// sequence, which is then read once for all of them.
/// @throws shape_error where there are not as many continuations as sequences, and what `score` throws
[[nodiscard]] std::vector<continuation_score> score_each(const causal_lm& model, const plan& input,
                                                         const std::vector<std::vector<std::int64_t>>& continuations);

/// By how much an answer is likelier than a foil: its log-probability minus the foil's, in nats. Of single tokens that
/// is the difference of their logits. Differentiable.
/// @return one number
/// @throws what `score` throws
/// Source: Zhang & Nanda, arXiv 2309.16042, section 3: the metric of activation patching.
[[nodiscard]] at::Tensor logit_difference(const causal_lm& model, const plan& input,
                                          const std::vector<std::int64_t>& answer,
                                          const std::vector<std::int64_t>& foil);

/// What two plans hold of the next token, at each step of one continuation.
struct next_token_comparison {
  /// `[seq]`, nats: the Kullback–Leibler divergence of the plan's distribution from the reference's, 0 where they
  /// agree. Differentiable.
  at::Tensor divergence;
  at::Tensor top2_margin;  ///< `[seq]`: the reference's largest minus its second largest logit
  at::Tensor same_choice;  ///< bool `[seq]`: whether both would choose the same token greedily
};

/// Compares the distributions of the token that comes next, behind two plans of one sequence each, in front of every
/// token of the same continuation: usually what the reference itself goes on with. Along it both read the same tokens,
/// so that a difference early on does not make all later ones incomparable.
/// @throws what `score` throws
[[nodiscard]] next_token_comparison compare_next_tokens(const causal_lm& model, const plan& reference,
                                                        const plan& input,
                                                        const std::vector<std::int64_t>& continuation);

/// Logits `[seq, vocab_size]` of what comes next, in front of every token of a continuation behind a plan of one
/// sequence, in fp32 (double of a model in double): what the comparison of more than two plans is made of.
/// Differentiable.
/// @throws what `score` throws
[[nodiscard]] at::Tensor next_token_logits(const causal_lm& model, const plan& input,
                                           const std::vector<std::int64_t>& continuation);

/// The comparison of logits as `next_token_logits` gives them; the divergence is computed in fp32 of those in 16 bits
/// too.
/// @param reference `[seq, vocab_size]`
/// @param other likewise
/// @throws shape_error unless both have the same shape
[[nodiscard]] next_token_comparison compare_next_tokens(const at::Tensor& reference, const at::Tensor& other);

}  // namespace kvtransfer
