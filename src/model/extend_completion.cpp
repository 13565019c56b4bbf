#include "model/extend_completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

void require_valid(const generation_config& settings, std::int64_t batch) {
  require<value_error>(settings.max_new_tokens >= 0, "generate", "max_new_tokens", "0 or more",
                       fmt::format("{}", settings.max_new_tokens));
  require<value_error>(std::isfinite(settings.temperature) && settings.temperature >= 0, "generate", "temperature",
                       "finite, 0 or more", fmt::format("{}", settings.temperature));
  const auto seeds = static_cast<std::int64_t>(settings.seeds.size());
  require<shape_error>(seeds == 1 || seeds == batch, "generate", "seeds", fmt::format("1 or {}", batch),
                       fmt::format("{}", seeds));
}

std::optional<std::int64_t> extend(completion& sequence, const token_choice& choice,
                                   const std::vector<std::int64_t>& eos_token_ids) {
  sequence.top2_margins.push_back(choice.top2_margin);
  sequence.close_calls += is_close(choice) ? 1 : 0;
  if (std::find(eos_token_ids.begin(), eos_token_ids.end(), choice.token_id) != eos_token_ids.end()) {
    sequence.stop = stop_reason::eos;
    sequence.eos_token_id = choice.token_id;
    return std::nullopt;
  }
  sequence.token_ids.push_back(choice.token_id);
  return choice.token_id;
}

std::optional<std::int64_t> extend(completion& sequence, const at::Tensor& logits, const generation_config& settings,
                                   std::uint64_t seed, std::int64_t step) {
  return extend(sequence, choose_token(logits, settings.temperature, seed, static_cast<std::uint64_t>(step)),
                settings.eos_token_ids);
}

}  // namespace kvtransfer::detail
