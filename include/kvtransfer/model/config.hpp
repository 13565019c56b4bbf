#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

class rotary_embedding;

/// What a model's `config.json` says, for the Llama architecture and those that compute the same.
struct model_config {
  std::string architecture;                  ///< transformers' class that computes the same, as "LlamaForCausalLM"
  std::int64_t layers = 0;                   ///< decoder layers
  std::int64_t hidden_size = 0;              ///< elements of a token's state between layers
  std::int64_t intermediate_size = 0;        ///< elements inside a layer's MLP
  std::int64_t q_heads = 0;                  ///< heads of queries
  std::int64_t kv_heads = 0;                 ///< heads of keys and values, a divisor of `q_heads`
  std::int64_t head_dim = 0;                 ///< elements of a head
  std::int64_t vocab_size = 0;               ///< rows of the embedding, which may be more than the tokenizer has tokens
  std::int64_t max_position_embeddings = 0;  ///< tokens
  double rms_norm_eps = 0;                   ///< added to the mean square in every norm
  bool tie_word_embeddings = false;          ///< whether the head is the embedding itself
  bool attention_bias = false;               ///< whether attention's projections have biases
  bool mlp_bias = false;                     ///< whether the MLP's projections have biases
  /// as the configuration has it; a tokenizer decides whether a text begins with it
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< each one ends a generation
  std::vector<rotary_embedding> rotary;     ///< one per layer; to look into one, include rope/rotary_embedding.hpp
  std::string raw;                          ///< the whole file, as JSON text

  // Compiled, because they need a complete rotary_embedding, whose header reads JSON.
  /// An empty configuration, to be filled in.
  model_config();
  /// Copies everything.
  model_config(const model_config&);
  /// Takes everything over.
  model_config(model_config&&) noexcept;
  /// Copies everything.
  model_config& operator=(const model_config&);
  /// Takes everything over.
  model_config& operator=(model_config&&) noexcept;
  ~model_config();
};

/// Reads a model's configuration. A `generation_config.json` beside it decides which tokens end a generation.
/// @param folder_or_file a model's folder, or its `config.json`
/// @throws file_error naming the key: a size missing, a value out of range, an architecture that computes otherwise
[[nodiscard]] model_config read_model_config(const std::filesystem::path& folder_or_file);

/// The rotary specification of every layer while the longest sequence has `length` tokens (only dynamic NTK and
/// LongRoPE depend on it).
[[nodiscard]] std::vector<rotary_specification> rotary_specifications(const model_config& config,
                                                                      std::int64_t length = 0);

}  // namespace kvtransfer
