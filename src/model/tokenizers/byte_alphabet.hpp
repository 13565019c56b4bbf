#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// Bytes written as printable characters, so that a vocabulary of bytes can be stored as text: "!" is itself, a space
/// is "Ġ" (U+0120). Source: GPT-2's encoder, `bytes_to_unicode`.

/// Each byte of `bytes` as its character.
std::string in_byte_alphabet(std::string_view bytes);
/// The bytes that a text in the alphabet stands for; nothing if any of its characters is not in the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace kvtransfer::detail
