#include "model/tokenizers/byte_pair_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer::detail {

namespace {

/// A few steps that each double the text, or more, would fill any memory.
void check_growth(std::size_t now, std::size_t original) {
  const std::size_t most = (std::size_t{1} << 20) + 64 * original;
  if (now > most) {
    fail<value_error>("encode", "normalized text", fmt::format("at most {} bytes", most), fmt::format("{}", now));
  }
}

}  // namespace

bool byte_pair_parts::add(added_token token) {
  text_piece written{token.content, /*at_start=*/false};
  if (token.normalized) {
    for (const normalizer& normalize : normalizers) {
      normalize(written);
      check_growth(written.text.size(), token.content.size());
    }
  }
  const std::string* owner = model.vocabulary.text_of(token.id);
  const auto id_in_model = model.vocabulary.id_of(token.content);
  const bool taken = added_.contains(token.id) || added_ids_.contains(token.content) ||
                     (owner != nullptr && *owner != token.content) || (id_in_model && *id_in_model != token.id);
  added_token_finder& finder = token.normalized ? normalized_finder_ : raw_finder_;
  if (taken || !finder.insert(written.text, token)) {
    return false;
  }
  if (token.special) {
    model.special.insert(token.id);
  }
  if (written.text != token.content) {
    normalized_.emplace(token.id, std::move(written.text));
  }
  added_ids_.emplace(token.content, token.id);
  added_.emplace(token.id, std::move(token));
  return true;
}

std::optional<std::int32_t> byte_pair_parts::id_of(const std::string& text) const {
  const auto found = added_ids_.find(text);
  return found == added_ids_.end() ? model.vocabulary.id_of(text) : std::optional(found->second);
}

const std::string* byte_pair_parts::decoded_text_of(std::int64_t id) const {
  if (const auto found = normalized_.find(id); found != normalized_.end()) {
    return &found->second;  // a decoder undoes what the normalizer did
  }
  return text_of(id);
}

const std::string* byte_pair_parts::text_of(std::int64_t id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? model.vocabulary.text_of(id) : &found->second.content;
}

std::int64_t byte_pair_parts::vocab_size() const {
  std::int64_t size = model.vocabulary.largest_id() + std::int64_t{1};
  for (const auto& [id, token] : added_) {
    size = std::max(size, id + 1);
  }
  return size;
}

void byte_pair_parts::encode_between(const segmented_text& source, const text_range& range,
                                     std::vector<std::int64_t>& ids) const {
  const std::string_view text = source.part(range);
  const bool plain = !source.is_markup(range);
  text_piece whole{std::string(text), range.begin == 0 && !source.continues, range.begin == 0 && source.continues};
  for (const normalizer& normalize : normalizers) {
    normalize(whole);
    check_growth(whole.text.size(), text.size());
  }
  const std::vector<token_or_text> parts = normalized_finder_.split(whole.text, plain);
  if (plain && source.has_markup(range) && parts.size() != normalized_finder_.split(whole.text, false).size()) {
    // What normalizing makes of the text does not say which of it is markup.
    fail<value_error>("encode_segments", "text", "no special token that is looked for after normalizing",
                      excerpt(text));
  }
  for (const token_or_text& part : parts) {
    if (part.id) {
      ids.push_back(*part.id);
      continue;
    }
    const auto [begin, end] = part.range;
    std::vector<text_piece> words{
        {whole.text.substr(begin, end - begin), whole.at_start && begin == 0, whole.continues && begin == 0}};
    for (const pre_tokenizer& split : pre_tokenizers) {
      split(words);
      std::size_t bytes = 0;
      for (const text_piece& word : words) {
        bytes += word.text.size();
      }
      check_growth(bytes, text.size());
    }
    for (const text_piece& word : words) {
      model.encode(word.text, plain, ids);
    }
  }
}

std::vector<std::int64_t> byte_pair_parts::encode(const segmented_text& text) const {
  std::vector<std::int64_t> ids;
  for (const token_or_text& part : raw_finder_.split(text.text, text.markup)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      encode_between(text, part.range, ids);
    }
  }
  return ids;
}

namespace {

class byte_pair_stream final : public text_stream::decoder {
 public:
  explicit byte_pair_stream(std::shared_ptr<const byte_pair_parts> parts)
      : parts_(std::move(parts)), chain_(decoding_chain(parts_->decoders, text_)) {}

  std::string push(std::int64_t id) override {
    if (id < 0) {
      fail<value_error>("decode", "id", "0 or more", fmt::format("{}", id));
    }
    const std::string* token = parts_->model.special.contains(id) ? nullptr : parts_->decoded_text_of(id);
    if (token != nullptr) {
      chain_->take(*token);
    }
    return std::exchange(text_, {});
  }

  std::string finish() override {
    chain_->finish();
    return std::exchange(text_, {});
  }

 private:
  std::shared_ptr<const byte_pair_parts> parts_;
  std::string text_;
  std::unique_ptr<token_sink> chain_;
};

}  // namespace

std::unique_ptr<text_stream::decoder> open_stream(std::shared_ptr<const byte_pair_parts> parts) {
  return std::make_unique<byte_pair_stream>(std::move(parts));
}

}  // namespace kvtransfer::detail
