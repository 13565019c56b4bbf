#include "kvtransfer/model/tokenizer.hpp"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <system_error>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "model/special_tokens.hpp"

namespace kvtransfer {

struct tokenizer::implementation {
  sentencepiece::SentencePieceProcessor pieces;
  detail::special_tokens special;
};

tokenizer tokenizer::open(const std::filesystem::path& folder) {
  const auto file = folder / "tokenizer.model";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored) && std::filesystem::exists(folder / "tokenizer.json", ignored)) {
    fail<file_error>(folder.string(), "tokenizer", "tokenizer.model, a SentencePiece model", "tokenizer.json alone");
  }
  const std::string content = read_text(file);
  auto loaded = std::make_shared<implementation>();
  const auto status = loaded->pieces.LoadFromSerializedProto(content);
  if (!status.ok() || loaded->pieces.GetPieceSize() < 1) {
    fail<file_error>(file.string(), "content", "a SentencePiece model", fmt::format("{} other bytes", content.size()));
  }
  loaded->special = detail::read_special_tokens(folder, loaded->pieces);
  return tokenizer(std::move(loaded));
}

std::vector<std::int64_t> tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = loaded_->pieces.Encode(text, &ids);
  require<value_error>(status.ok(), "tokenizer::encode", "text", "UTF-8", status.ToString());
  return {ids.begin(), ids.end()};
}

std::string tokenizer::decode(std::span<const std::int64_t> ids) const {
  const sentencepiece::SentencePieceProcessor& model = loaded_->pieces;
  std::vector<int> pieces;
  for (const std::int64_t id : ids) {
    if (id < 0) {
      fail<value_error>("tokenizer::decode", "id", "0 or more", fmt::format("{}", id));
    }
    if (id < vocab_size() && !model.IsControl(static_cast<int>(id)) && !model.IsUnknown(static_cast<int>(id))) {
      pieces.push_back(static_cast<int>(id));
    }
  }
  std::string text;
  const auto status = model.Decode(pieces, &text);
  require<value_error>(status.ok(), "tokenizer::decode", "ids", "ids of pieces", status.ToString());
  return text;
}

std::string tokenizer::piece(std::int64_t id) const {
  if (id < 0 || id >= vocab_size()) {
    fail<value_error>("tokenizer::piece", "id", fmt::format("0 <= id < {}", vocab_size()), fmt::format("{}", id));
  }
  return loaded_->pieces.IdToPiece(static_cast<int>(id));
}

std::optional<std::int64_t> tokenizer::bos() const { return loaded_->special.bos; }

const std::vector<std::int64_t>& tokenizer::eos_ids() const { return loaded_->special.eos; }

std::int64_t tokenizer::vocab_size() const { return loaded_->pieces.GetPieceSize(); }

}  // namespace kvtransfer
