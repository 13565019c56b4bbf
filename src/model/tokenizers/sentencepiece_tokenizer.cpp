#include "model/tokenizers/sentencepiece_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/git_lfs.hpp"
#include "model/tokenizers/decoders.hpp"
#include "model/tokenizers/sentencepiece_proto.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // ▁

std::unique_ptr<sentencepiece::SentencePieceProcessor> load(std::string_view model, std::string_view file) {
  refuse_git_lfs_pointer(model, file);
  auto loaded = std::make_unique<sentencepiece::SentencePieceProcessor>();
  if (!loaded->LoadFromSerializedProto(model).ok() || loaded->GetPieceSize() < 1) {
    fail<file_error>(file, "content", "a SentencePiece model", fmt::format("{} other bytes", model.size()));
  }
  return loaded;
}

}  // namespace

sentencepiece_parts::sentencepiece_parts(std::string_view model, std::string_view file, prefix prefixed)
    : spaced_(load(model, file)),
      bare_(load(std::string(model) + std::string(without_dummy_prefix()), file)),
      prefix_(prefixed) {
  if (spaced_->bos_id() >= 0) {
    boundaries.bos = spaced_->bos_id();
  }
  if (spaced_->eos_id() >= 0) {
    boundaries.eos = {spaced_->eos_id()};
  }
}

bool sentencepiece_parts::add(const added_token& token) {
  const auto id = id_of(token.content);
  const auto text = text_of(token.id);
  if ((id && *id != token.id) || (text && *text != token.content) || added_.contains(token.id) ||
      !finder_.insert(token.content, token)) {
    return false;
  }
  added_.emplace(token.id, token);
  added_ids_.emplace(token.content, token.id);
  return true;
}

void sentencepiece_parts::add_control_pieces() {
  for (std::int32_t id = 0; id < spaced_->GetPieceSize(); ++id) {
    if ((spaced_->IsControl(id) || spaced_->IsUnknown(id)) && !added_.contains(id)) {
      add({.content = spaced_->IdToPiece(id), .id = id, .special = true});
    }
  }
}

std::optional<std::int64_t> sentencepiece_parts::id_of(const std::string& text) const {
  if (const auto found = added_ids_.find(text); found != added_ids_.end()) {
    return found->second;
  }
  const int id = spaced_->PieceToId(text);  // gives the unknown piece's id for what it has not
  return is_piece(id) && spaced_->IdToPiece(id) == text ? std::optional<std::int64_t>(id) : std::nullopt;
}

std::optional<std::string> sentencepiece_parts::text_of(std::int64_t id) const {
  if (const added_token* found = added(id)) {
    return found->content;
  }
  return is_piece(id) ? std::optional(spaced_->IdToPiece(static_cast<int>(id))) : std::nullopt;
}

const added_token* sentencepiece_parts::added(std::int64_t id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? nullptr : &found->second;
}

bool sentencepiece_parts::is_special(std::int64_t id) const {
  const added_token* found = added(id);
  const bool in_model =
      is_piece(id) && (spaced_->IsControl(static_cast<int>(id)) || spaced_->IsUnknown(static_cast<int>(id)));
  return in_model || (found != nullptr && found->special);
}

int sentencepiece_parts::byte_of(std::int64_t id) const {
  const bool is_byte = is_piece(id) && spaced_->IsByte(static_cast<int>(id));
  return is_byte ? byte_of_token(spaced_->IdToPiece(static_cast<int>(id))) : -1;
}

std::int64_t sentencepiece_parts::vocab_size() const {
  std::int64_t size = spaced_->GetPieceSize();
  for (const auto& [id, token] : added_) {
    size = std::max(size, id + 1);
  }
  return size;
}

void sentencepiece_parts::encode_between(std::string_view text, bool spaced, bool plain,
                                         std::vector<std::int64_t>& ids) const {
  std::vector<int> found;
  const auto status = (spaced ? spaced_ : bare_)->Encode(text, &found);
  if (!status.ok()) {
    fail<value_error>("encode", "text", "one that SentencePiece takes", status.ToString());
  }
  // A model may have special tokens among the symbols that it finds in any text.
  const bool forbidden = plain && std::any_of(found.begin(), found.end(),
                                              [&](int id) { return is_special(id) && !spaced_->IsUnknown(id); });
  if (!forbidden) {
    ids.insert(ids.end(), found.begin(), found.end());
    return;
  }
  std::size_t done = 0;
  for (const token_or_text& part : finder_.split(text, /*plain=*/false)) {
    if (part.id && is_special(*part.id) && part.range.end - part.range.begin > 1) {
      const std::size_t cut = part.range.begin + character_at(text, part.range.begin).bytes;
      encode_between(text.substr(done, cut - done), spaced && done == 0, plain, ids);
      done = cut;
    }
  }
  if (done == 0) {
    fail<value_error>("encode", "text", "text without special tokens", excerpt(text));
  }
  encode_between(text.substr(done), false, plain, ids);
}

std::vector<std::int64_t> sentencepiece_parts::encode(const segmented_text& text) const {
  std::vector<std::int64_t> ids;
  for (const token_or_text& part : finder_.split(text.text, text.markup)) {
    if (part.id) {
      ids.push_back(*part.id);
      continue;
    }
    const bool first = part.range.begin == 0;
    const bool spaced = first ? prefix_ != prefix::none && !text.continues : prefix_ == prefix::each;
    encode_between(text.part(part.range), spaced, !text.is_markup(part.range), ids);
  }
  return ids;
}

namespace {

/// Source: SentencePieceProcessor::Decode, which drops one space at the start where encoding put one, and gives U+FFFD
/// for each byte that is no part of a character.
class sentencepiece_stream final : public text_stream::decoder {
 public:
  explicit sentencepiece_stream(std::shared_ptr<const sentencepiece_parts> parts) : parts_(std::move(parts)) {}

  std::string push(std::int64_t id) override {
    if (id < 0) {
      fail<value_error>("decode", "id", "0 or more", fmt::format("{}", id));
    }
    if (parts_->is_special(id)) {
      return {};
    }
    if (const int byte = parts_->byte_of(id); byte >= 0) {
      at_start_ = false;
      const char one = static_cast<char>(byte);
      return bytes_.push({&one, 1});
    }
    const auto piece = parts_->text_of(id);
    if (!piece) {
      return {};
    }
    const bool drops = std::exchange(at_start_, false) && parts_->drops_first_space();
    if (parts_->added(id) != nullptr) {  // its text as it is, but for that space
      return bytes_.finish() + piece->substr(drops && piece->starts_with(' ') ? 1 : 0);
    }
    return bytes_.finish() + text_of_piece(*piece, drops);
  }

  std::string finish() override { return bytes_.finish(); }

 private:
  static std::string text_of_piece(std::string_view piece, bool drops_first_space) {
    if (drops_first_space && piece.starts_with(space_mark)) {
      piece.remove_prefix(space_mark.size());
    }
    std::string text;
    std::size_t done = 0;
    for (std::size_t at = 0; (at = piece.find(space_mark, done)) != piece.npos; done = at + space_mark.size()) {
      text += piece.substr(done, at - done);
      text += ' ';
    }
    text += piece.substr(done);
    return text;
  }

  std::shared_ptr<const sentencepiece_parts> parts_;
  utf8_repair bytes_{replacement::per_byte};
  bool at_start_ = true;
};

}  // namespace

std::unique_ptr<text_stream::decoder> open_stream(std::shared_ptr<const sentencepiece_parts> parts) {
  return std::make_unique<sentencepiece_stream>(std::move(parts));
}

}  // namespace kvtransfer::detail
