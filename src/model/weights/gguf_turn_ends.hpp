#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/model/weights/gguf_metadata.hpp"

namespace kvtransfer::detail {

/// The ids that end a turn, and with it a text, beside `eos_token_id`; each once, that one never.
///
/// A converter copies one end from a model that has several, often the one that ends a document: where no
/// `eot_token_id` names the end of a turn, it is known by its text.
/// Source: ggml-org/llama.cpp, llama-vocab.cpp, which tells it the same way.
/// @throws file_error for a value of another type than its key has
[[nodiscard]] std::vector<std::int64_t> gguf_turn_ends(const gguf_metadata& metadata);

}  // namespace kvtransfer::detail
