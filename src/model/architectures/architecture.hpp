#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/model/config.hpp"
#include "model/json_fields.hpp"

namespace kvtransfer::detail {

/// Values of keys that a config.json leaves out.
struct config_defaults {
  std::optional<std::int64_t> q_heads = {};     ///< nothing: the key must be there
  std::optional<std::int64_t> vocab_size = {};  ///< likewise
  std::optional<std::int64_t> kv_heads = {};    ///< nothing: as many as query heads
  std::optional<std::int64_t> head_dim = {};    ///< nothing: hidden_size / query heads
  std::int64_t max_position_embeddings = 0;     ///< tokens
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id = {};
};

/// A family of decoders: what its config.json may leave out, and which blocks its layers are made of.
struct architecture {
  std::string_view model_type;
  config_defaults defaults;
  std::vector<std::string_view> rotary_keys = {};  ///< which layers rotate, and how, where that differs among them

  /// Chooses the blocks of a configuration whose sizes are known: biases, norms, activation, `attention` of every layer
  /// (there already, with the scale 1/√head_dim and no window). Every key that it asks for counts as understood.
  void (*choose_blocks)(const json_fields& fields, model_config& config);

  /// For a model that sees more than text: the entry, of this registry, that its `text_config` is read by.
  std::string_view text_architecture = {};
};

/// Architectures by the name that a config.json gives under `architectures`.
using architecture_registry = registry<architecture>;

/// The architectures that open. A further one is a file beside this one, of settings as in blocks.hpp; its declaration
/// below and its name in standard.cpp; its `model_type` in src/rope/architectures.json, of which
/// src/rope/generate_architectures.py makes the tables of rotary conventions; and, for GGUF files, the name that these
/// have for it in ../weights/gguf_architecture.cpp.
[[nodiscard]] const architecture_registry& standard_architectures();

/// The entry that a config.json names, by `architectures` or, where that is missing, by `model_type`.
/// @throws file_error with the list of those that open
[[nodiscard]] const architecture_registry::entry& find_architecture(const architecture_registry& known,
                                                                    const json_fields& fields);

// What the standard ones are made by. Each is defined in the file of its name.
[[nodiscard]] architecture llama();
[[nodiscard]] architecture mistral();
[[nodiscard]] architecture qwen2();
[[nodiscard]] architecture qwen3();
[[nodiscard]] architecture phi3();
[[nodiscard]] architecture gemma2();
[[nodiscard]] architecture gemma3_text();
[[nodiscard]] architecture gemma3();
[[nodiscard]] architecture smollm3();

}  // namespace kvtransfer::detail
