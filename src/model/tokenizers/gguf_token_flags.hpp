#pragma once

#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "model/tokenizers/added_tokens.hpp"

namespace kvtransfer::detail {

/// A token of a GGUF vocabulary with the flags that the format has no place for: which white space it takes along.
///
/// Of the architectures that run here the Phi family's authors set them: Phi-3 (SentencePiece) on the right of all but
/// the texts' own boundaries, Phi-4 on both sides, Phi-4-mini on the right of those that make turns.
/// Source: the models' tokenizer.json; ggml-org/llama.cpp, llama-vocab.cpp, which knows Phi-3 by its `general.name`;
/// dotnet/machinelearning issue 7337 lists Phi-4's.
[[nodiscard]] added_token with_white_space(const gguf_vocabulary& vocabulary, added_token token);

}  // namespace kvtransfer::detail
