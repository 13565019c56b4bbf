#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"

namespace kvtransfer {

/// A tokenizer as an alignment asks for it, see `BoundedTokenCodec`: no space is put in front of text that goes on.
struct text_codec {
  any_tokenizer tokens;  ///< whose ids they are

  /// The text of ids, special tokens left out.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const { return tokens.decode(ids); }
  /// Ids of text that somebody wrote. @param begins whether nothing stands in front of it
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text, bool begins) const {
    const text_segment segment{std::string(text)};
    return tokens.encode_segments(std::span(&segment, 1), begins ? text_begin::fresh : text_begin::continued);
  }
  /// See `boundary_tokens`.
  /// @{
  [[nodiscard]] std::optional<std::int64_t> bos() const { return tokens.boundaries().bos; }
  [[nodiscard]] std::vector<std::int64_t> eos() const { return tokens.boundaries().eos; }
  [[nodiscard]] std::vector<std::int64_t> opening() const { return tokens.boundaries().before; }
  /// @}
};

}  // namespace kvtransfer
