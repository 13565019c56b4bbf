#include <array>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "model/tokenizers/tokenizer_json.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

text_pattern read_pattern(const json_node& node) {
  node.only({"String", "Regex"});
  if (node.value().size() != 1) {
    node.refuse("one of String and Regex");
  }
  if (const auto literal = node.find("String")) {
    return text_pattern::literal(literal->text());
  }
  const json_node expression = node.at("Regex");
  return text_pattern::regex(expression.text(), expression.where());
}

char32_t read_character(const json_node& node) {
  const std::string& text = node.text();
  if (text.empty() || character_at(text, 0).bytes != text.size()) {
    node.refuse("one character");
  }
  return character_at(text, 0).code_point;
}

namespace {

normalizer read_one(const json_node& node) {
  const json_node type = node.at("type");
  if (type.text() == "Prepend") {
    node.only({"type", "prepend"});
    return prepend(node.at("prepend").text());
  }
  if (type.text() == "Replace") {
    node.only({"type", "pattern", "content"});
    return replace_each(read_pattern(node.at("pattern")), node.at("content").text());
  }
  if (type.text() == "Strip") {
    node.only({"type", "strip_left", "strip_right"});
    return strip_white_space(node.at("strip_left").boolean(), node.at("strip_right").boolean());
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
      node.only({"type"});
      return made;
    }
  }
  type.refuse("a type of Sequence, Prepend, Replace, Strip, NFC, NFD, NFKC, NFKD, Lowercase, ByteLevel");
}

}  // namespace

std::vector<normalizer> read_normalizers(const json_node& node) {
  if (node.at("type").text() != "Sequence") {
    return {read_one(node)};
  }
  node.only({"type", "normalizers"});
  std::vector<normalizer> all;
  const json_node list = node.at("normalizers");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto more = read_normalizers(list.at(i));
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace kvtransfer::detail
