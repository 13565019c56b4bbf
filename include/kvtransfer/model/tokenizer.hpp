#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer {

/// Text to token ids and back, by a model folder's `tokenizer.model` (SentencePiece).
///
/// Cheap to copy, safe to share between threads. Text is only text: a "</s>" in it is four characters, not a token.
class tokenizer {
 public:
  /// Reads `tokenizer.model`. BOS and EOS are those of `tokenizer_config.json` where it names them, else of
  /// `config.json`, else of the SentencePiece model; a null in the first file that has the key means "none".
  /// @throws file_error if a file is missing or corrupt, or a special token has no id
  [[nodiscard]] static tokenizer open(const std::filesystem::path& folder);

  /// Ids of a text, without BOS and EOS; a leading space is added where the model was trained with one.
  /// @param text UTF-8
  /// Source: LlamaTokenizer of transformers 4. Version 5 adds no leading space to a text that begins with one already.
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const;

  /// Text of ids. Special tokens, and ids that a padded vocabulary has beyond the pieces, give nothing.
  /// @throws value_error for a negative id
  /// Source: LlamaTokenizer.decode(skip_special_tokens=True); of bytes that are no UTF-8, only those become U+FFFD.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const;

  /// The piece that an id stands for, as the model writes it ("▁Paris"). @throws value_error if there is none
  [[nodiscard]] std::string piece(std::int64_t id) const;

  [[nodiscard]] std::optional<std::int64_t> bos() const;
  /// Each one ends a text.
  [[nodiscard]] const std::vector<std::int64_t>& eos_ids() const;
  /// Pieces of the SentencePiece model; the network's vocabulary may be padded beyond them.
  [[nodiscard]] std::int64_t vocab_size() const;

 private:
  struct implementation;

  explicit tokenizer(std::shared_ptr<const implementation> loaded) : loaded_(std::move(loaded)) {}

  std::shared_ptr<const implementation> loaded_;
};

}  // namespace kvtransfer
