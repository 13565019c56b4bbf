#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

enum class token_kind {
  text,          ///< outside of tags; white space control is done
  output_begin,  ///< {{
  block_begin,   ///< {%
  tag_end,       ///< }} or %}
  name,
  integer,
  string,  ///< escapes are decoded
  symbol,  ///< an operator or a bracket
  end      ///< of the template
};

struct template_token {
  token_kind kind;
  std::string text;
  std::int64_t number = 0;  ///< of an integer
};

/// The tokens of a Jinja template, ended by one of kind `end`; comments are dropped.
/// @throws template_error for a tag or a string that does not end, and for floating-point numbers
/// Source: jinja2.lexer with trim_blocks and lstrip_blocks, as transformers' apply_chat_template sets them.
[[nodiscard]] std::vector<template_token> template_tokens(std::string_view source);

}  // namespace kvtransfer::detail
