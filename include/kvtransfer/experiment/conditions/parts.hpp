#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"

namespace kvtransfer::conditions {

inline std::int64_t count_of(const std::vector<std::int64_t>& ids) { return static_cast<std::int64_t>(ids.size()); }

/// Tokens of BOS: one, or none for a model without it.
inline std::int64_t bos_count(const prompt_ids& prompts) { return prompts.bos ? 1 : 0; }

/// BOS where the model has one, then `count` tokens of `role`.
inline sequence begun_parts(const prompt_ids& prompts, token_role role, std::int64_t count, bool injected) {
  sequence parts;
  if (prompts.bos) {
    parts.push_back({token_role::bos, 1, injected});
  }
  parts.push_back({role, count, injected});
  return parts;
}

}  // namespace kvtransfer::conditions
