#include "model/batch_sizes.hpp"

#include <ATen/OpMathType.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights.hpp"
#include "model/free_memory.hpp"
#include "model/prefix_reader.hpp"
#include "model/slot_attention.hpp"

namespace kvtransfer::detail {

std::int64_t bytes_of_slots(const model_config& config, std::int64_t slots, at::ScalarType dtype) {
  return 2 * config.layers * slots * config.kv_heads * config.head_dim *
         static_cast<std::int64_t>(c10::elementSize(dtype));
}

std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes) {
  const model_config& config = model.config;
  const at::ScalarType kept_as = slot_type(config, model.dtype(), model.device());
  const auto wide = static_cast<std::int64_t>(c10::elementSize(at::toOpMathType(kept_as)));
  const std::int64_t slots = sizes.groups * sizes.prefix + sizes.sequences() * sizes.tail;
  const std::int64_t kept = bytes_of_slots(config, slots, kept_as);
  const std::int64_t scores = 3 * sizes.sequences() * config.q_heads * (sizes.prefix + sizes.tail) * wide;
  const std::int64_t held = std::min(most_scores_read, most_scores_at_once(model.device()));
  const std::int64_t reading =
      4 * std::min(held, sizes.groups * config.q_heads * longest_read_together * sizes.prefix) * wide;
  const std::int64_t activations = sizes.sequences() * (4 * config.intermediate_size + 8 * config.hidden_size) * wide;
  const bool once = model.device().is_cpu() && config.final_softcap.value_or(0) == 0;  // widened row by row
  const std::int64_t logits = sizes.sequences() * config.vocab_size *
                              (once ? static_cast<std::int64_t>(c10::elementSize(model.dtype())) : 3 * wide);
  return kept + std::max(scores, reading) + activations + logits;
}

batch_memory memory_for_batch(const causal_lm& model, const batching& how) {
  const bool is_given = how.most_bytes > 0;
  const auto most = is_given ? how.most_bytes
                             : static_cast<std::int64_t>(how.share * static_cast<double>(free_memory(model.device())));
  if (!model.device().is_cpu()) {
    return {.most = most, .enough = most, .held = most, .kept = most, .scored = most};
  }
  constexpr std::int64_t little = 256'000'000;  // for a small model's weights and its batch together
  std::int64_t weights = 0;
  for_each_parameter(model.weights, [&](const std::string&, const at::Tensor& tensor) {
    weights += static_cast<std::int64_t>(tensor.nbytes());
  });
  const std::int64_t enough = std::min(most, std::max(little - weights, weights / 8));
  return {
      .most = most, .enough = is_given ? most : enough, .held = enough / 4, .kept = enough / 3, .scored = enough / 3};
}

batch_sizes held_by(const batch_memory& memory, const causal_lm& model, batch_sizes sizes, std::int64_t shortest) {
  while (bytes_of(model, sizes) > memory.enough) {
    if (sizes.groups > 1) {
      sizes.groups -= (sizes.groups + 7) / 8;
    } else if (sizes.members > 1) {
      sizes.members -= (sizes.members + 7) / 8;
    } else if (sizes.prefix > shortest) {
      sizes.prefix = shortest;
    } else if (bytes_of(model, sizes) <= memory.most) {
      break;
    } else {
      fail<out_of_memory_error>("generate_many", "memory",
                                fmt::format("{} bytes on {} for one sequence of {} slots", bytes_of(model, sizes),
                                            model.device().str(), sizes.prefix + sizes.tail),
                                fmt::format("{} bytes, of {} free", memory.most, free_memory(model.device())));
    }
  }
  return sizes;
}

}  // namespace kvtransfer::detail
