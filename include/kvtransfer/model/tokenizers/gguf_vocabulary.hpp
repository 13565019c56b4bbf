#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"

namespace kvtransfer {

class gguf_metadata;

/// What a GGUF file's metadata says of its tokenizer. Members but the first three have the names of their keys, less
/// `tokenizer.ggml`.
struct gguf_vocabulary {
  std::filesystem::path file;       ///< the GGUF file: named in errors, and what a digest has to cover
  std::string architecture;         ///< `general.architecture`: decides with `pre` which tokens take white space along
  std::string name;                 ///< `general.name`: the same for a Phi-3 stored under another architecture
  std::string model;                ///< "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre;                  ///< names the pre-tokenizer of "gpt2"; not used by "llama"
  std::vector<std::string> tokens;  ///< an id is a place in this list
  std::vector<std::string> merges;  ///< "gpt2": pairs "a b", the first goes first
  std::vector<float> scores;        ///< "llama": one a token, the greatest is merged first
  std::vector<std::int32_t>
      token_types;  ///< one a token: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::optional<std::int64_t> bos_token_id;      ///< absent: none for "gpt2", 1 for "llama"
  std::optional<std::int64_t> eos_token_id;      ///< absent: none for "gpt2", 2 for "llama"
  std::optional<std::int64_t> unknown_token_id;  ///< "llama": used unless one token is of type 2
  std::vector<std::int64_t> more_eos_ids;        ///< further ids that end a text: `eot_token_id` (absent: known
                                                 ///< by its text), `eom_token_id`
  std::optional<bool> add_bos_token;             ///< absent: the family's own rule
  std::optional<bool> add_eos_token;             ///< absent: none is added
  std::optional<bool> add_space_prefix;          ///< absent: as SentencePiece does for "llama", none for "gpt2"
};

/// Reads what a GGUF file says of its tokenizer. @throws file_error for a value of another type than its key has
[[nodiscard]] gguf_vocabulary read_gguf_vocabulary(const gguf_metadata& metadata);

/// The tokenizer that a GGUF file's metadata describes.
///
/// The normalizer is not in the metadata: it follows from `pre` (NFC for Qwen). Nor is which special tokens take the
/// white space beside them along, as Phi-3's take the line end behind `<|user|>`: the models of that family are known
/// by `architecture`, or by `name`.
/// @throws file_error where lists disagree, an id is out of range, or `model` or `pre` is not known, with those known
/// Source: what the models' authors define, and llama.cpp's reading of the same keys.
[[nodiscard]] any_tokenizer tokenizer_of(const gguf_vocabulary& vocabulary);

}  // namespace kvtransfer
