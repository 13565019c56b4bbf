#include "model/batch_sizes.hpp"

#include <algorithm>

#include "model/prefix_reader.hpp"
#include "model/slot_attention.hpp"

namespace kvtransfer::detail {

std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes) {
  const model_config& config = model.config;
  const at::ScalarType kept_as = slot_type(config, model.dtype(), model.device());
  const auto wide = static_cast<std::int64_t>(c10::elementSize(kept_as == at::kDouble ? at::kDouble : at::kFloat));
  const std::int64_t slots = sizes.groups * sizes.prefix + sizes.sequences() * sizes.tail;
  const std::int64_t kept = 2 * config.layers * slots * config.kv_heads * config.head_dim *
                            static_cast<std::int64_t>(c10::elementSize(kept_as));
  const std::int64_t scores = 3 * sizes.sequences() * config.q_heads * (sizes.prefix + sizes.tail) * wide;
  const std::int64_t reading =
      4 * std::min(most_scores_read, sizes.groups * config.q_heads * longest_read_together * sizes.prefix) * wide;
  const std::int64_t activations = sizes.sequences() * (4 * config.intermediate_size + 8 * config.hidden_size) * wide;
  const std::int64_t logits = 3 * sizes.sequences() * config.vocab_size * wide;
  return kept + std::max(scores, reading) + activations + logits;
}

}  // namespace kvtransfer::detail
