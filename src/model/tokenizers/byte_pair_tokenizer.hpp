#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "model/tokenizers/added_tokens.hpp"
#include "model/tokenizers/byte_pair_model.hpp"
#include "model/tokenizers/decoders.hpp"
#include "model/tokenizers/normalizers.hpp"
#include "model/tokenizers/pre_tokenizers.hpp"
#include "model/tokenizers/segmented_text.hpp"
#include "model/tokenizers/shared_tokenizer.hpp"

namespace kvtransfer::detail {

/// What a tokenizer.json describes, in the order in which a text passes through it.
struct byte_pair_parts {
  std::vector<normalizer> normalizers;
  std::vector<pre_tokenizer> pre_tokenizers;
  byte_pair_model model;
  std::vector<decode_step> decoders;
  boundary_tokens boundaries;
  std::vector<std::filesystem::path> files;

  /// Adds a token after normalizers and model are complete.
  /// @return false, and nothing is changed, if its text or id is taken by another token, or it is empty
  bool add(added_token token);

  /// The token that a text is, added or of the model.
  std::optional<std::int32_t> id_of(const std::string& text) const;
  /// As the vocabulary writes it; null for an id that nothing has.
  const std::string* text_of(std::int64_t id) const;
  /// As what a token stands in a text that is decoded; null for an id that nothing has.
  const std::string* decoded_text_of(std::int64_t id) const;
  std::vector<std::int64_t> encode(const segmented_text& text) const;
  std::int64_t vocab_size() const;

 private:
  /// The ids of text without added tokens, up to those that are looked for after normalizing.
  /// @param range of `whole`
  void encode_between(const segmented_text& whole, const text_range& range, std::vector<std::int64_t>& ids) const;

  std::unordered_map<std::int64_t, added_token> added_;
  std::unordered_map<std::int64_t, std::string> normalized_;  ///< of the added tokens that are looked for in that form
  std::unordered_map<std::string, std::int32_t> added_ids_;
  added_token_finder raw_finder_;
  added_token_finder normalized_finder_;
};

[[nodiscard]] std::unique_ptr<text_stream::decoder> open_stream(std::shared_ptr<const byte_pair_parts> parts);

/// Text to ids by byte pair encoding, as a tokenizer.json or a GGUF file's metadata describes it.
using byte_pair_tokenizer = shared_tokenizer<byte_pair_parts>;
static_assert(Tokenizer<byte_pair_tokenizer>);

}  // namespace kvtransfer::detail
