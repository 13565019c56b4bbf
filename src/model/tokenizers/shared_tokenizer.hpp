#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "model/tokenizers/segmented_text.hpp"

namespace kvtransfer::detail {

/// The ways into `Parts` and out of them, which copies share.
/// @tparam Parts gives `encode(segmented_text)`, `text_of(id)`, `vocab_size()`, `boundaries` and `files`;
///   `open_stream` decodes with it
template <class Parts>
class shared_tokenizer {
 public:
  explicit shared_tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const {
    return parts_->encode(plain_text(text));
  }
  [[nodiscard]] std::vector<std::int64_t> encode_markup(std::string_view text) const {
    return parts_->encode(markup_text(text));
  }
  [[nodiscard]] std::vector<std::int64_t> encode_segments(std::span<const text_segment> segments,
                                                          text_begin begin) const {
    return parts_->encode(joined_segments(segments, begin));
  }
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const { return read_all(stream(), ids); }
  [[nodiscard]] text_stream stream() const { return text_stream(open_stream(parts_)); }
  [[nodiscard]] std::string token_text(std::int64_t id) const {
    const auto text = parts_->text_of(id);
    if (!text) {
      fail<value_error>("token_text", "id", fmt::format("an id of the vocabulary, 0 <= id < {}", vocab_size()),
                        fmt::format("{}", id));
    }
    return *text;
  }
  [[nodiscard]] std::int64_t vocab_size() const { return parts_->vocab_size(); }
  [[nodiscard]] const boundary_tokens& boundaries() const { return parts_->boundaries; }
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return parts_->files; }

 private:
  std::shared_ptr<const Parts> parts_;
};

}  // namespace kvtransfer::detail
