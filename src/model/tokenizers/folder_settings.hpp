#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "model/tokenizers/added_tokens.hpp"

namespace kvtransfer::detail {

/// A token that a file names: it may say nothing of it, say that there is none, or give its text.
struct named_token {
  std::filesystem::path file;  ///< empty where nothing is said
  std::optional<std::string> text;
};

/// What a model's folder says of its tokenizer beside the vocabulary.
struct folder_settings {
  named_token bos;
  named_token eos;
  std::vector<std::int64_t> config_bos;  ///< ids of config.json
  std::vector<std::int64_t> config_eos;
  bool config_names_bos = false;  ///< config.json has the key, null or not
  bool config_names_eos = false;
  std::unordered_set<std::string> special_texts;  ///< of all tokens that are named for a purpose
  std::vector<added_token> added;                 ///< of added_tokens_decoder and added_tokens.json, by id
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> add_prefix_space;
  bool legacy = false;                       ///< SentencePiece: a space in front of each text between added tokens
  std::vector<std::filesystem::path> files;  ///< those read that decide about ids
};

/// Reads `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json`, where they are
/// there.
/// @throws file_error
/// Source: `PreTrainedTokenizerBase._from_pretrained` of transformers: special_tokens_map.json goes first where
/// tokenizer_config.json has no added_tokens_decoder.
folder_settings read_folder_settings(const std::filesystem::path& folder);

/// The special tokens of `settings` as ids, and what stands before and behind a text.
/// @param around what the vocabulary's own file says: its BOS and EOS, and its `before` and `behind`
/// @param id_of the id of a token's text
/// @throws file_error for a named token without an id
boundary_tokens boundaries_of(const folder_settings& settings, const boundary_tokens& around,
                              const std::function<std::optional<std::int64_t>(const std::string&)>& id_of);

}  // namespace kvtransfer::detail
