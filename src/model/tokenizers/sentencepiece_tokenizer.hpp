#pragma once

#include <sentencepiece_processor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "model/tokenizers/added_tokens.hpp"
#include "model/tokenizers/segmented_text.hpp"
#include "model/tokenizers/shared_tokenizer.hpp"

namespace kvtransfer::detail {

/// A SentencePiece model and what is added to it.
class sentencepiece_parts {
 public:
  enum class prefix { none, first, each };  ///< texts between added tokens that get a space in front

  /// @param model the bytes of a tokenizer.model, untrusted
  /// @param file named in errors
  /// @throws file_error
  sentencepiece_parts(std::string_view model, std::string_view file, prefix prefixed);

  boundary_tokens boundaries;  ///< at first, what the model itself names
  std::vector<std::filesystem::path> files;

  /// Adds a token, or says more of a piece that has the same text and id.
  /// @return false, and nothing is changed, if its text or id is another token's, or it is empty
  bool add(const added_token& token);
  /// Makes the pieces that stand for no text part of what `encode` finds where it is not `plain`.
  void add_control_pieces();

  std::optional<std::int64_t> id_of(const std::string& text) const;
  /// As the vocabulary writes it; nothing for an id without a token.
  std::optional<std::string> text_of(std::int64_t id) const;
  bool is_piece(std::int64_t id) const { return id >= 0 && id < spaced_->GetPieceSize(); }
  bool is_special(std::int64_t id) const;
  /// Null for a piece of the model that nothing more is known of.
  const added_token* added(std::int64_t id) const;
  /// The byte that an id stands for; -1 if it is something else.
  int byte_of(std::int64_t id) const;
  bool drops_first_space() const { return prefix_ != prefix::none; }
  std::int64_t vocab_size() const;

  std::vector<std::int64_t> encode(const segmented_text& text) const;

 private:
  using processor = sentencepiece::SentencePieceProcessor;

  void encode_between(std::string_view text, bool spaced, bool plain, std::vector<std::int64_t>& ids) const;

  std::unique_ptr<processor> spaced_;  ///< as the model has it
  std::unique_ptr<processor> bare_;    ///< the same without a space in front
  prefix prefix_;
  added_token_finder finder_;
  std::unordered_map<std::int64_t, added_token> added_;
  std::unordered_map<std::string, std::int64_t> added_ids_;
};

[[nodiscard]] std::unique_ptr<text_stream::decoder> open_stream(std::shared_ptr<const sentencepiece_parts> parts);

/// Text to ids by a SentencePiece model, from a model's folder or a GGUF file's metadata.
using sentencepiece_tokenizer = shared_tokenizer<sentencepiece_parts>;
static_assert(Tokenizer<sentencepiece_tokenizer>);

}  // namespace kvtransfer::detail
