#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"
#include "model/batch_caches.hpp"
#include "model/checked_plan.hpp"
#include "model/kept_rotations.hpp"

namespace kvtransfer::detail {

/// Texts longer than this are read one by one, by a `session`, whose attention holds no scores of all their slots.
inline constexpr std::int64_t longest_read_together = 256;

/// Scores that one pass over several texts may hold.
inline constexpr std::int64_t most_scores_read = std::int64_t{1} << 24;

/// Of them, those that a layer's attention holds at a time. A GPU wants few large steps, a CPU what fits its caches.
[[nodiscard]] inline std::int64_t most_scores_at_once(at::Device device) {
  return device.is_cpu() ? std::int64_t{1} << 19 : most_scores_read;
}

/// Tokens that one pass over several texts may read: beyond these a CPU gains no speed from more, and activations take
/// memory.
[[nodiscard]] inline std::int64_t most_tokens_read(at::Device device) {
  return device.is_cpu() ? 1024 : std::numeric_limits<std::int64_t>::max();
}

/// Reads plans into the prefixes of a batch's caches, short ones together.
class prefix_reader {
 public:
  /// All must outlive it.
  prefix_reader(const causal_lm& model, batch_caches& caches, kept_rotations& rotations)
      : model_(&model), caches_(&caches), rotations_(&rotations) {}

  /// Has each of `groups` begin with what a plan injects and reads.
  /// @return scores of what follows the last token of each, `[plans, vocab_size]`
  [[nodiscard]] at::Tensor read(const std::vector<std::int64_t>& groups, const std::vector<const checked_plan*>& plans);

  /// The same, for scores behind several tokens, which take so much more memory that they are left to the caller.
  /// @param asked for each plan, how many of its last tokens are wanted
  /// @return normed hidden states `[all that were asked for, hidden_size]`, plan by plan
  /// @throws value_error for a text too long to be read with others
  [[nodiscard]] at::Tensor read_states(const std::vector<std::int64_t>& groups,
                                       const std::vector<const checked_plan*>& plans,
                                       const std::vector<std::int64_t>& asked);

 private:
  /// Everything about the tokens that are being read.
  struct reading;

  /// Where the pass that begins with a plan ends; at `begin` for a text too long to be read with others.
  [[nodiscard]] std::size_t end_of_pass(const std::vector<const checked_plan*>& plans, std::size_t begin) const;
  [[nodiscard]] at::Tensor read_at_once(const std::vector<std::int64_t>& groups,
                                        const std::vector<const checked_plan*>& plans,
                                        const std::vector<std::int64_t>& asked);
  [[nodiscard]] at::Tensor read_alone(std::int64_t group, const checked_plan& read);
  [[nodiscard]] at::Tensor attend_reading(const reading& now, std::int64_t layer, const at::Tensor& q,
                                          const at::Tensor& k, const at::Tensor& v);
  [[nodiscard]] at::Tensor index(const std::vector<std::int64_t>& list) const;

  const causal_lm* model_;
  batch_caches* caches_;
  kept_rotations* rotations_;
};

}  // namespace kvtransfer::detail
