#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/sampling.hpp"

namespace kvtransfer::detail {

/// @throws value_error, shape_error on settings that do not fit `batch` sequences
void require_valid(const generation_config& settings, std::int64_t batch);

/// Records a choice and returns its token if the sequence goes on.
std::optional<std::int64_t> extend(completion& sequence, const token_choice& choice,
                                   const std::vector<std::int64_t>& eos_token_ids);

/// Chooses the next token of one sequence, records it, and returns it if the sequence goes on.
/// @param logits float `[vocab_size]` on the host
/// @param step choices made before
std::optional<std::int64_t> extend(completion& sequence, const at::Tensor& logits, const generation_config& settings,
                                   std::uint64_t seed, std::int64_t step);

}  // namespace kvtransfer::detail
