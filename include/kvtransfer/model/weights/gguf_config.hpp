#pragma once

#include <nlohmann/json.hpp>

#include "kvtransfer/model/weights/gguf_file.hpp"

namespace kvtransfer {

/// The config.json that a model's author would have written, from a GGUF file's metadata and its tensors of rotary
/// factors.
///
/// Architectures llama (Mistral's files too: with a window that bites they become MistralForCausalLM), qwen2, qwen3,
/// gemma2, gemma3 and phi3. `eos_token_id` is a list where the file names further tokens that end a turn.
/// @throws file_error naming the key: another architecture, a size missing or contradicting the tensors, a key under
/// the
///   architecture's name that is not understood
/// Source: ggml-org/llama.cpp, conversion/*.py for what the keys say and src/models/*.cpp for the values of missing
/// ones.
[[nodiscard]] nlohmann::json gguf_config(const gguf_file& file);

}  // namespace kvtransfer
