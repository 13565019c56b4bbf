#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/weights.hpp"
#include "support/tensors.hpp"

namespace kvtransfer::test {

/// A config.json of three layers, four query heads on two KV heads.
inline nlohmann::json small_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", 3},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"vocab_size", 97},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 256},
          {"rope_theta", 10000.0},
          {"rms_norm_eps", 1e-6}};
}

/// A random model whose weights are large enough that a position off by one changes what it says.
inline causal_lm small_model(std::uint64_t seed = 1, const nlohmann::json& config = small_config()) {
  model_config parsed = model_config_from_json(config);
  model_weights weights = random_weights(parsed, seed, 0.15);
  return causal_lm::of(std::move(parsed), std::move(weights));
}

/// `count` token ids of a vocabulary of 97, the same for the same seed.
inline std::vector<std::int64_t> some_tokens(std::int64_t count, std::int64_t seed = 0) {
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    ids.push_back((seed * 31 + i * i * 7 + i * 13 + 5) % 97);
  }
  return ids;
}

inline std::vector<std::int64_t> joined(std::vector<std::int64_t> first, const std::vector<std::int64_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace kvtransfer::test
