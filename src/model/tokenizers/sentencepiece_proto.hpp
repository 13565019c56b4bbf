#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>

#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"

namespace kvtransfer::detail {

/// A SentencePiece model as its file has it, for a vocabulary that lies in a GGUF file's metadata: BPE by score with
/// byte fallback. It goes through SentencePiece's own reader then, so merging is not written a second time.
/// @param found_before ids of tokens that are looked for in a text before SentencePiece sees it: their pieces keep the
///        spelling that they have in the metadata
/// Source: sentencepiece_model.proto of SentencePiece.
std::string sentencepiece_model_of(const gguf_vocabulary& vocabulary,
                                   const std::unordered_set<std::size_t>& found_before);

/// What is put behind a model's bytes so that it adds no space in front of a text: in a protocol buffer a field that
/// comes again is merged into the first.
std::string_view without_dummy_prefix();

}  // namespace kvtransfer::detail
