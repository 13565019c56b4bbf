#include "tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "template_error.hpp"
#include "unicode_text.hpp"

namespace kvtransfer::detail {
namespace {

constexpr std::array<std::string_view, 6> long_symbols{"**", "//", "==", "!=", "<=", ">="};

bool is_name_begin(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Line ends as \n, and one at the very end dropped.
std::string normalized(std::string_view source) {
  std::string text;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      i += i + 1 < source.size() && source[i + 1] == '\n' ? 1 : 0;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  return text;
}

void append_utf8(std::string& text, std::uint32_t point) {
  if (point < 0x80) {
    text += static_cast<char>(point);
  } else if (point < 0x800) {
    text += static_cast<char>(0xC0 | (point >> 6));
    text += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    text += static_cast<char>(0xE0 | (point >> 12));
    text += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    text += static_cast<char>(0x80 | (point & 0x3F));
  }
}

class lexer {
 public:
  explicit lexer(std::string_view source) : text_(normalized(source)) {}

  std::vector<template_token> run() {
    while (at_ < text_.size()) {
      const std::size_t open = next_tag();
      emit_text(open);
      if (open == text_.size()) {
        break;
      }
      const char kind = text_[open + 1];
      at_ = open + 2;
      if (peek("-") || peek("+")) {
        ++at_;
      }
      if (kind == '#') {
        skip_comment();
      } else {
        tokens_.push_back({kind == '{' ? token_kind::output_begin : token_kind::block_begin, {}});
        read_tag(kind == '{' ? "}}" : "%}");
      }
    }
    tokens_.push_back({token_kind::end, "the end of the template"});
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool peek(std::string_view expected) const {
    return std::string_view(text_).substr(at_).starts_with(expected);
  }

  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t i = at_; i + 1 < text_.size(); ++i) {
      if (text_[i] == '{' && (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#')) {
        return i;
      }
    }
    return text_.size();
  }

  /// The text up to a tag at `open`, less the white space that the tag takes away.
  void emit_text(std::size_t open) {
    std::string_view text = std::string_view(text_).substr(at_, open - at_);
    const char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
    if (open < text_.size() && sign == '-') {
      text = strip_right(text);
    } else if (open < text_.size() && sign != '+' && text_[open + 1] != '{') {
      const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
      if ((line > 0 || line_begins_) && strip(text.substr(line)).empty()) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) {
      tokens_.push_back({token_kind::text, std::string(text)});
    }
  }

  /// Steps over what follows a tag: all white space behind a minus sign, else one line end behind a block or comment.
  void end_tag(bool minus, bool plus, bool takes_line_end) {
    if (minus) {
      const std::string_view rest = std::string_view(text_).substr(at_);
      at_ += rest.size() - strip_left(rest).size();
    } else if (takes_line_end && !plus && peek("\n")) {
      ++at_;
    }
    line_begins_ = text_[at_ - 1] == '\n';
  }

  void skip_comment() {
    const std::size_t close = text_.find("#}", at_);
    if (close == std::string::npos) {
      throw template_error("a comment that does not end");
    }
    const char sign = close > at_ ? text_[close - 1] : ' ';
    at_ = close + 2;
    end_tag(sign == '-', sign == '+', true);
  }

  void read_tag(std::string_view close) {
    // An expression's depth, and so the stack that evaluating it takes, is bounded by its tokens.
    constexpr std::size_t most_tokens = 1000;
    std::string open_brackets;
    for (const std::size_t begin = tokens_.size();;) {
      if (tokens_.size() - begin > most_tokens) {
        throw template_error(fmt::format("a tag of more than {} tokens", most_tokens));
      }
      while (at_ < text_.size() && is_space(text_[at_])) {
        ++at_;
      }
      if (at_ >= text_.size()) {
        throw template_error("a tag that does not end");
      }
      if (open_brackets.empty()) {
        const bool minus = peek(fmt::format("-{}", close));
        const bool plus = peek(fmt::format("+{}", close));
        if (minus || plus || peek(close)) {
          at_ += close.size() + (minus || plus ? 1 : 0);
          tokens_.push_back({token_kind::tag_end, std::string(close)});
          end_tag(minus, plus, close == "%}");
          return;
        }
      }
      read_token(open_brackets);
    }
  }

  void read_token(std::string& open_brackets) {
    const std::size_t begin = at_;
    const char first = text_[at_];
    const auto while_true = [&](auto accepts) {
      while (at_ < text_.size() && accepts(text_[at_])) {
        ++at_;
      }
      return text_.substr(begin, at_ - begin);
    };
    if (is_name_begin(first)) {
      tokens_.push_back({token_kind::name, while_true([](char c) { return is_name_begin(c) || is_digit(c); })});
    } else if (is_digit(first)) {
      template_token token{token_kind::integer, while_true(is_digit)};
      const auto read = std::from_chars(token.text.data(), token.text.data() + token.text.size(), token.number);
      const bool fraction = at_ + 1 < text_.size() && text_[at_] == '.' && is_digit(text_[at_ + 1]);
      if (read.ec != std::errc{} || fraction || (at_ < text_.size() && is_name_begin(text_[at_]))) {
        throw template_error(fmt::format("the number \"{}\": whole ones below 2^63 are read", token.text));
      }
      tokens_.push_back(std::move(token));
    } else if (first == '\'' || first == '"') {
      tokens_.push_back({token_kind::string, read_string(first)});
    } else {
      read_symbol(open_brackets);
    }
  }

  void read_symbol(std::string& open_brackets) {
    const char first = text_[at_];
    std::string symbol(1, first);
    const auto found = std::ranges::find_if(long_symbols, [&](auto each) { return peek(each); });
    if (found != long_symbols.end()) {
      symbol = *found;
    }
    if (std::string_view("+-*/%~()[]{}.,:|=<>!").find(first) == std::string_view::npos || symbol == "!") {
      throw template_error(fmt::format("the character at byte {}", at_));
    }
    constexpr std::string_view opening = "([{", closing = ")]}";
    if (opening.find(first) != std::string_view::npos) {
      open_brackets += closing[opening.find(first)];
    } else if (closing.find(first) != std::string_view::npos) {
      if (open_brackets.empty() || open_brackets.back() != first) {
        throw template_error(fmt::format("an unexpected \"{}\"", first));
      }
      open_brackets.pop_back();
    }
    at_ += symbol.size();
    tokens_.push_back({token_kind::symbol, symbol});
  }

  std::string read_string(char quote) {
    std::string text;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        read_escape(text);
      } else {
        text += text_[at_];
      }
    }
    if (at_ >= text_.size()) {
      throw template_error("a string that does not end");
    }
    ++at_;
    return text;
  }

  /// Source: Python's escapes in a string, but those for octal digits, names and code points past U+FFFF.
  void read_escape(std::string& text) {
    constexpr std::string_view from = "ntr\\'\"abfv", to = "\n\t\r\\'\"\a\b\f\v";
    const char kind = text_[++at_];
    if (const std::size_t found = from.find(kind); found != std::string_view::npos) {
      text += to[found];
    } else if (kind == 'x' || kind == 'u') {
      const std::size_t digits = kind == 'x' ? 2 : 4;
      std::uint32_t point = 0;
      const std::string hexadecimal = text_.substr(at_ + 1, digits);
      const auto read = std::from_chars(hexadecimal.data(), hexadecimal.data() + hexadecimal.size(), point, 16);
      if (read.ptr != hexadecimal.data() + digits || (point >= 0xD800 && point < 0xE000)) {
        throw template_error(fmt::format("the escape \\{}{}", kind, hexadecimal));
      }
      append_utf8(text, point);
      at_ += digits;
    } else if (is_digit(kind) || kind == 'N' || kind == 'U') {
      throw template_error(fmt::format("the escape \\{}", kind));
    } else if (kind != '\n') {
      text += '\\';
      text += kind;
    }
  }

  std::string text_;
  std::size_t at_ = 0;
  bool line_begins_ = true;
  std::vector<template_token> tokens_;
};

}  // namespace

std::vector<template_token> template_tokens(std::string_view source) { return lexer(source).run(); }

}  // namespace kvtransfer::detail
