#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "kvtransfer/model/tokenizers/text_stream.hpp"

namespace kvtransfer {

/// A tokenizer chosen at run time. Copies share the one they were made from.
class any_tokenizer {
 public:
  /// Takes any tokenizer, by value.
  template <class Chosen>
    requires(!std::same_as<Chosen, any_tokenizer> && Tokenizer<Chosen>)
  any_tokenizer(Chosen chosen)  // NOLINT(google-explicit-constructor): a tokenizer is a tokenizer
      : chosen_(std::make_shared<const holder<Chosen>>(std::move(chosen))) {}

  /// Ids of text that somebody wrote: no special token is read from it.
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const { return chosen_->encode(text); }
  /// Ids of a chat format's piece, special tokens included.
  [[nodiscard]] std::vector<std::int64_t> encode_markup(std::string_view text) const {
    return chosen_->encode_markup(text);
  }
  /// Ids of one text of both kinds.
  [[nodiscard]] std::vector<std::int64_t> encode_segments(std::span<const text_segment> segments,
                                                          text_begin begin) const {
    return chosen_->encode_segments(segments, begin);
  }
  /// The text of `ids`, special tokens left out.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const { return chosen_->decode(ids); }
  /// Decodes ids one at a time.
  [[nodiscard]] text_stream stream() const { return chosen_->stream(); }
  /// A token as the vocabulary writes it. @throws value_error where there is none
  [[nodiscard]] std::string token_text(std::int64_t id) const { return chosen_->token_text(id); }
  /// One past the largest id.
  [[nodiscard]] std::int64_t vocab_size() const { return chosen_->vocab_size(); }
  /// The tokens that stand around a text.
  [[nodiscard]] const boundary_tokens& boundaries() const { return chosen_->boundaries(); }
  /// The files that decide what the ids are, in a fixed order.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return chosen_->files(); }

 private:
  struct interface {
    virtual ~interface() = default;
    [[nodiscard]] virtual std::vector<std::int64_t> encode(std::string_view text) const = 0;
    [[nodiscard]] virtual std::vector<std::int64_t> encode_markup(std::string_view text) const = 0;
    [[nodiscard]] virtual std::vector<std::int64_t> encode_segments(std::span<const text_segment> segments,
                                                                    text_begin begin) const = 0;
    [[nodiscard]] virtual std::string decode(std::span<const std::int64_t> ids) const = 0;
    [[nodiscard]] virtual text_stream stream() const = 0;
    [[nodiscard]] virtual std::string token_text(std::int64_t id) const = 0;
    [[nodiscard]] virtual std::int64_t vocab_size() const = 0;
    [[nodiscard]] virtual const boundary_tokens& boundaries() const = 0;
    [[nodiscard]] virtual const std::vector<std::filesystem::path>& files() const = 0;
  };

  template <class Chosen>
  struct holder final : interface {
    explicit holder(Chosen value) : tokens(std::move(value)) {}
    [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const override { return tokens.encode(text); }
    [[nodiscard]] std::vector<std::int64_t> encode_markup(std::string_view text) const override {
      return tokens.encode_markup(text);
    }
    [[nodiscard]] std::vector<std::int64_t> encode_segments(std::span<const text_segment> segments,
                                                            text_begin begin) const override {
      return tokens.encode_segments(segments, begin);
    }
    [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const override { return tokens.decode(ids); }
    [[nodiscard]] text_stream stream() const override { return tokens.stream(); }
    [[nodiscard]] std::string token_text(std::int64_t id) const override { return tokens.token_text(id); }
    [[nodiscard]] std::int64_t vocab_size() const override { return tokens.vocab_size(); }
    [[nodiscard]] const boundary_tokens& boundaries() const override { return tokens.boundaries(); }
    [[nodiscard]] const std::vector<std::filesystem::path>& files() const override { return tokens.files(); }
    Chosen tokens;
  };

  std::shared_ptr<const interface> chosen_;
};

static_assert(Tokenizer<any_tokenizer>);

}  // namespace kvtransfer
