#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace kvtransfer {

/// Turns ids into text one at a time: all that `push` and `finish` give, joined, is what decoding the ids at once
/// gives.
///
/// Text comes as soon as no later id can change it, so a character whose bytes lie in several tokens comes whole.
/// Made by a tokenizer's `stream()`, which it keeps alive. Movable; not to be shared between threads.
class text_stream {
 public:
  /// What a tokenizer supplies; `push` and `finish` as below.
  struct decoder {
    virtual ~decoder() = default;
    /// The text that is certain now.
    virtual std::string push(std::int64_t id) = 0;
    /// What was held back.
    virtual std::string finish() = 0;
  };

  /// @param steps what a tokenizer supplies; it keeps alive whatever it needs
  explicit text_stream(std::unique_ptr<decoder> steps) : decoder_(std::move(steps)) {}

  /// @return the text, valid UTF-8, that is certain now; special tokens and unknown ids give nothing
  /// @throws value_error for a negative id
  [[nodiscard]] std::string push(std::int64_t id) { return decoder_->push(id); }

  /// @return what was held back; bytes that never became a character are U+FFFD. Nothing may be pushed afterwards.
  [[nodiscard]] std::string finish() { return decoder_->finish(); }

 private:
  std::unique_ptr<decoder> decoder_;
};

/// The text of all `ids`, read to the end of `stream`.
[[nodiscard]] inline std::string read_all(text_stream stream, std::span<const std::int64_t> ids) {
  std::string text;
  for (const std::int64_t id : ids) {
    text += stream.push(id);
  }
  return text + stream.finish();
}

}  // namespace kvtransfer
