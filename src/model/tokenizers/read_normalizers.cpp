#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "model/tokenizers/tokenizer_json.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

text_pattern read_pattern(const json_reader& node) {
  node.allow_only({"String", "Regex"});
  if (node.value().size() != 1) {
    node.refuse("one of String and Regex");
  }
  if (const auto literal = node.find("String")) {
    return text_pattern::literal(literal->text());
  }
  const json_reader expression = node.member("Regex");
  return text_pattern::regex(expression.text(), fmt::format("{}: {}", expression.file(), expression.path()));
}

char32_t read_character(const json_reader& node) {
  const std::string text = node.text();
  if (text.empty() || character_at(text, 0).bytes != text.size()) {
    node.refuse("one character");
  }
  return character_at(text, 0).code_point;
}

namespace {

normalizer read_normalizer(const json_reader& node) {
  const json_reader type = node.member("type");
  if (type.text() == "Prepend") {
    node.allow_only({"type", "prepend"});
    return prepend(node.member("prepend").text());
  }
  if (type.text() == "Replace") {
    node.allow_only({"type", "pattern", "content"});
    return replace_each(read_pattern(node.member("pattern")), node.member("content").text());
  }
  if (type.text() == "Strip") {
    node.allow_only({"type", "strip_left", "strip_right"});
    return strip_white_space(node.member("strip_left").boolean(), node.member("strip_right").boolean());
  }
  const std::array<std::pair<std::string_view, normalizer>, 6> without_settings{{
      {"NFC", to_normal_form(normal_form::nfc)},
      {"NFD", to_normal_form(normal_form::nfd)},
      {"NFKC", to_normal_form(normal_form::nfkc)},
      {"NFKD", to_normal_form(normal_form::nfkd)},
      {"Lowercase", to_lower_case()},
      {"ByteLevel", to_byte_alphabet()},
  }};
  for (const auto& [name, made] : without_settings) {
    if (type.text() == name) {
      node.allow_only({"type"});
      return made;
    }
  }
  type.refuse("a type of Sequence, Prepend, Replace, Strip, NFC, NFD, NFKC, NFKD, Lowercase, ByteLevel");
}

}  // namespace

std::vector<normalizer> read_normalizers(const json_reader& node) {
  if (node.member("type").text() != "Sequence") {
    return {read_normalizer(node)};
  }
  return read_sequence(node, "normalizers", read_normalizers);
}

}  // namespace kvtransfer::detail
