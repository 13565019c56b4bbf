#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/cache/model_identity.hpp"

namespace kvtransfer {

struct causal_lm;

/// The model that ran.
struct model_info {
  std::string path;              ///< its folder or file, as given
  std::string architecture;      ///< transformers' class that computes the same
  std::int64_t layers = 0;       ///< decoder layers
  std::int64_t hidden_size = 0;  ///< elements
  std::int64_t q_heads = 0;      ///< heads of queries
  std::int64_t kv_heads = 0;     ///< heads of keys and values
  std::int64_t head_dim = 0;     ///< elements of a head
  std::int64_t vocab_size = 0;   ///< rows of the embedding
  std::string rope;              ///< type and parameters of the first layer's rotary embedding, a JSON object
  model_identity identity;       ///< tells whether trials of two runs are of one model

  // What else of a model decides on a generation.
  std::int64_t max_position_embeddings = 0;       ///< tokens
  std::optional<std::int64_t> bos_token_id = {};  ///< none where the model has none
  std::vector<std::int64_t> eos_token_ids = {};   ///< each one ends a generation
};

/// What a report says of a model. In `rope`, `layers_that_differ` counts the layers with another rotary embedding than
/// the first.
[[nodiscard]] model_info make_model_info(const causal_lm& model, const std::filesystem::path& folder);

}  // namespace kvtransfer
