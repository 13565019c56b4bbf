#pragma once

#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// Unicode's White_Space.
bool is_white_space(char32_t code_point);
/// General category N: decimal digits, letter numbers, other numbers.
bool is_number(char32_t code_point);
/// ASCII punctuation and symbols, and general category P of Unicode 7, as tokenizers has it.
bool is_punctuation(char32_t code_point);
/// What a word is made of: alphabetic, a mark, a decimal digit, a connector or a joiner (Unicode TR 18, annex C).
bool is_word(char32_t code_point);

enum class normal_form { nfc, nfd, nfkc, nfkd };
/// A text in one of Unicode's normal forms, by the tables of Unicode 9, as tokenizers has them.
std::string normalized(std::string_view text, normal_form form);
/// Each character's own lower case, whatever stands around it.
std::string lower_case(std::string_view text);

}  // namespace kvtransfer::detail
