#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

class rotary_embedding;

/// What the gate of a gated MLP is put through.
enum class gate_activation : std::uint8_t {
  silu,      ///< x·sigmoid(x)
  gelu,      ///< exact
  gelu_tanh  ///< approximated by tanh
};

/// How the queries of one layer meet its keys: a score is scale·q·k, then, with a cap, cap·tanh(score / cap).
struct attention_specification {
  double scale = 1;                    ///< of the product of query and key
  std::optional<double> softcap = {};  ///< cap of the scores; nothing: none

  /// How many keys a query sees, its own included; nothing: all before it. Slots that hold a key are counted, whatever
  /// their positions: a gap between positions takes no room in a window, and neither does a slot that a plan hides.
  /// Source: transformers, masking_utils.sliding_window_overlay, which counts slots.
  std::optional<std::int64_t> window = {};

  friend bool operator==(const attention_specification&, const attention_specification&) = default;
};

/// What a model's `config.json` says: sizes, and which of the blocks that decoders differ in its layers are made of.
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

  bool qkv_bias = false;                ///< projections of queries, keys and values have a bias
  bool output_bias = false;             ///< attention's output projection has one
  bool mlp_bias = false;                ///< the MLP's projections have one
  bool norms_queries_and_keys = false;  ///< a norm over each head of queries and keys, in front of the rotation
  bool norms_outputs = false;           ///< norms behind attention and MLP too: four a layer
  bool norms_add_one = false;           ///< norms multiply by 1 + weight
  bool fuses_projections = false;       ///< queries, keys, values are one matrix, gate and widening another
  gate_activation activation = gate_activation::silu;  ///< of the MLP
  double embedding_scale = 1;                          ///< what embeddings are multiplied by, rounded to their dtype
  std::optional<double> final_softcap;                 ///< cap of the logits, as of attention's scores
  std::vector<attention_specification> attention;      ///< one per layer

  /// as the configuration has it; a tokenizer decides whether a text begins with it
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< each one ends a generation
  std::vector<rotary_embedding> rotary;     ///< one per layer; to look into one, include rope/rotary_embedding.hpp
  /// What products with matrices in bitsandbytes' 4 bits are computed in, `bnb_4bit_compute_dtype`: "float32" (where
  /// the key is missing too), "float16" or "bfloat16"; empty where the file tells of no such matrices.
  std::string nf4_compute_dtype;
  std::string raw;  ///< as JSON text: the whole file, or its text part

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

/// Reads a model's configuration. A `generation_config.json` beside it decides alone which tokens end a generation:
/// where it names none, none does. Source: transformers, GenerationMixin.adjust_generation_fn.
/// @param folder_or_file a model's folder, or its `config.json`
/// @throws file_error naming the key: a size missing, a value out of range, an architecture that computes otherwise
[[nodiscard]] model_config read_model_config(const std::filesystem::path& folder_or_file);

/// How many positions the model can tell apart, so that a token at this position or further on is refused; nothing
/// where its rotary type adapts itself to any length (dynamic NTK), or no layer rotates.
///
/// `max_position_embeddings`, or the length that the rotary type stretches it to. Source: transformers, whose
/// documentation of `rope_scaling` leaves max_position_embeddings as it was trained for linear and dynamic scaling,
/// and gives YaRN's length as factor · original_max_position_embeddings.
[[nodiscard]] std::optional<std::int64_t> position_limit(const model_config& config);

/// The rotary specification of every layer while the longest sequence has `length` tokens (only dynamic NTK and
/// LongRoPE depend on it).
[[nodiscard]] std::vector<rotary_specification> rotary_specifications(const model_config& config,
                                                                      std::int64_t length = 0);

}  // namespace kvtransfer
