#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/tokenizers/text_stream.hpp"

namespace kvtransfer {

/// The tokens that stand around a text.
struct boundary_tokens {
  std::optional<std::int64_t> bos;   ///< the token called beginning of text, whether or not the model's rule adds it
  std::vector<std::int64_t> eos;     ///< each one ends a text
  std::vector<std::int64_t> before;  ///< what the model's own rule puts before a text: mostly BOS, or nothing
  std::vector<std::int64_t> behind;  ///< what the model's own rule puts behind a text: mostly nothing

  /// Memberwise.
  bool operator==(const boundary_tokens&) const = default;
};

/// A part of a text, and whether special tokens may be read from it.
struct text_segment {
  std::string text;        ///< any bytes; what is not UTF-8 is read as U+FFFD
  bool is_markup = false;  ///< whether special tokens may be read from it

  /// Memberwise.
  bool operator==(const text_segment&) const = default;
};

/// Where a text begins.
enum class text_begin {
  fresh,      ///< it stands for itself
  continued,  ///< it goes on from one that was encoded before: no space is put in front of it
};

/// Text to token ids and back. A value: cheap to copy, safe to share between threads.
///
/// There are three ways in, so that no flag can be forgotten. `encode` is for text that somebody wrote: "</s>" in it is
/// four characters and never the token. `encode_markup` is for the pieces of a chat format, which this library chose:
/// there the text of a special token is that token. `encode_segments` is for one text of both kinds ("[INST] " and
/// "Who" give the ids of "[INST] Who"): a special token must lie wholly in one segment of markup. None of them adds
/// anything around the text; `boundaries()` says what the model's rule would. Bytes that are not UTF-8 are read as
/// U+FFFD, as Python's errors="replace" does.
///
/// One of your own goes wherever an `any_tokenizer` is taken (any_tokenizer.hpp); its `stream()` is made of a
/// `text_stream::decoder`. One for a further kind of file is chosen in src/model/tokenizers/open_tokenizer.cpp, and
/// shared_tokenizer.hpp beside that has what all of the library's have in common.
template <class T>
concept Tokenizer =
    std::copyable<T> && requires(const T& tokens, std::string_view text, std::span<const text_segment> segments,
                                 text_begin begin, std::span<const std::int64_t> ids, std::int64_t id) {
      { tokens.encode(text) } -> std::same_as<std::vector<std::int64_t>>;
      { tokens.encode_markup(text) } -> std::same_as<std::vector<std::int64_t>>;
      { tokens.encode_segments(segments, begin) } -> std::same_as<std::vector<std::int64_t>>;
      { tokens.decode(ids) } -> std::same_as<std::string>;
      { tokens.stream() } -> std::same_as<text_stream>;
      /// A token as the vocabulary writes it ("▁Paris", "ĠParis"); @throws value_error where there is none.
      { tokens.token_text(id) } -> std::same_as<std::string>;
      /// One past the largest id; the network's vocabulary may be padded beyond it.
      { tokens.vocab_size() } -> std::same_as<std::int64_t>;
      { tokens.boundaries() } -> std::same_as<const boundary_tokens&>;
      /// The files that decide what the ids are, in a fixed order: what a digest of the tokenizer has to cover.
      { tokens.files() } -> std::same_as<const std::vector<std::filesystem::path>&>;
    };

/// Ids of a whole text as the model's own rule has it: with BOS where it adds one, and nothing else changed.
template <Tokenizer T>
[[nodiscard]] std::vector<std::int64_t> encode_whole(const T& tokens, std::string_view text) {
  const boundary_tokens& around = tokens.boundaries();
  std::vector<std::int64_t> ids = around.before;
  const std::vector<std::int64_t> inner = tokens.encode(text);
  ids.insert(ids.end(), inner.begin(), inner.end());
  ids.insert(ids.end(), around.behind.begin(), around.behind.end());
  return ids;
}

}  // namespace kvtransfer
