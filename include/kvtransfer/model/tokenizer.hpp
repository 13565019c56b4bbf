#pragma once

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/special_tokens.hpp"

namespace kvtransfer {

/// Text to token ids and back, by a model folder's `tokenizer.model` (SentencePiece).
///
/// Cheap to copy, safe to share between threads. Text is only text: a "</s>" in it is four characters, not a token.
class tokenizer {
 public:
  /// Reads `tokenizer.model`, and the special tokens as `read_special_tokens` finds them.
  /// @throws file_error if a file is missing or corrupt, or a special token has no id
  static tokenizer open(const std::filesystem::path& folder);

  /// Ids of a text, without BOS and EOS; a leading space is added where the model was trained with one.
  /// @param text UTF-8
  /// Source: LlamaTokenizer of transformers 4. Version 5 adds no leading space to a text that begins with one already.
  std::vector<std::int64_t> encode(std::string_view text) const {
    std::vector<int> ids;
    const auto status = model_->Encode(text, &ids);
    require<value_error>(status.ok(), "tokenizer::encode", "text", "UTF-8", status.ToString());
    return {ids.begin(), ids.end()};
  }

  /// Text of ids. Special tokens, and ids that a padded vocabulary has beyond the pieces, give nothing.
  /// @throws value_error for a negative id
  /// Source: LlamaTokenizer.decode(skip_special_tokens=True); of bytes that are no UTF-8, only those become U+FFFD.
  std::string decode(std::span<const std::int64_t> ids) const {
    std::vector<int> pieces;
    for (const std::int64_t id : ids) {
      if (id < 0) {
        fail<value_error>("tokenizer::decode", "id", "0 or more", fmt::format("{}", id));
      }
      if (id < vocab_size() && !model_->IsControl(static_cast<int>(id)) && !model_->IsUnknown(static_cast<int>(id))) {
        pieces.push_back(static_cast<int>(id));
      }
    }
    std::string text;
    const auto status = model_->Decode(pieces, &text);
    require<value_error>(status.ok(), "tokenizer::decode", "ids", "ids of pieces", status.ToString());
    return text;
  }

  /// The piece that an id stands for, as the model writes it ("▁Paris"). @throws value_error if there is none
  std::string piece(std::int64_t id) const {
    if (id < 0 || id >= vocab_size()) {
      fail<value_error>("tokenizer::piece", "id", fmt::format("0 <= id < {}", vocab_size()), fmt::format("{}", id));
    }
    return model_->IdToPiece(static_cast<int>(id));
  }

  std::optional<std::int64_t> bos() const { return special_.bos; }
  /// Each one ends a text.
  const std::vector<std::int64_t>& eos_ids() const { return special_.eos; }
  /// Pieces of the SentencePiece model; the network's vocabulary may be padded beyond them.
  std::int64_t vocab_size() const { return model_->GetPieceSize(); }

 private:
  using processor = sentencepiece::SentencePieceProcessor;

  tokenizer(std::shared_ptr<const processor> model, special_tokens special)
      : model_(std::move(model)), special_(std::move(special)) {}

  std::shared_ptr<const processor> model_;
  special_tokens special_;
};

inline tokenizer tokenizer::open(const std::filesystem::path& folder) {
  const auto file = folder / "tokenizer.model";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored) && std::filesystem::exists(folder / "tokenizer.json", ignored)) {
    fail<file_error>(folder.string(), "tokenizer", "tokenizer.model, a SentencePiece model", "tokenizer.json alone");
  }
  const std::string content = read_text(file);
  auto model = std::make_shared<processor>();
  if (const auto status = model->LoadFromSerializedProto(content); !status.ok() || model->GetPieceSize() < 1) {
    fail<file_error>(file.string(), "content", "a SentencePiece model", fmt::format("{} other bytes", content.size()));
  }
  special_tokens special = read_special_tokens(folder, *model);
  return {std::move(model), std::move(special)};
}

}  // namespace kvtransfer
