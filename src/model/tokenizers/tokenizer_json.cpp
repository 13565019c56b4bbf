#include "model/tokenizers/tokenizer_json.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace kvtransfer::detail {

namespace {

/// What would cut or lengthen a text's ids without being asked.
void refuse_changes_of_length(const json_node& node) {
  if (const auto truncation = node.find("truncation")) {
    truncation->refuse("null: a text is never cut");
  }
  if (const auto padding = node.find("padding")) {
    const auto strategy = padding->find("strategy");
    const bool harmless = strategy && strategy->value() == "BatchLongest" && !padding->find("pad_to_multiple_of");
    if (!harmless) {
      padding->refuse("null, or padding to the longest of a batch");
    }
  }
}

added_token read_added_token(const json_node& node) {
  node.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  return {.content = node.at("content").text(),
          .id = node.at("id").integer(),
          .special = node.at("special").boolean(),
          .normalized = node.at("normalized").boolean(),
          .lstrip = node.at("lstrip").boolean(),
          .rstrip = node.at("rstrip").boolean(),
          .single_word = node.at("single_word").boolean()};
}

}  // namespace

void read_added_tokens(const json_node& node, byte_pair_parts& parts) {
  auto next_new = static_cast<std::int64_t>(parts.model.vocabulary.size());
  for (std::size_t i = 0; i < node.size(); ++i) {
    const json_node entry = node.at(i);
    added_token token = read_added_token(entry);
    // tokenizers does not read the id: a token that the model has keeps that id, another gets the next free one.
    const auto in_model = parts.model.vocabulary.id_of(token.content);
    const std::int64_t given = in_model ? *in_model : next_new++;
    if (token.id != given) {
      entry.at("id").refuse(fmt::format("{}, the id that the token's place gives it", given));
    }
    if (!parts.add(std::move(token))) {
      entry.refuse("a token with a text and an id of its own");
    }
  }
}

byte_pair_parts read_tokenizer_json(std::string_view content, std::string_view file) {
  const nlohmann::json parsed = parse_json(content, file);
  const json_node root(parsed, file);
  root.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
             "decoder", "model"});
  if (const auto version = root.find("version"); version && version->text() != "1.0") {
    version->refuse("\"1.0\"");
  }
  refuse_changes_of_length(root);

  byte_pair_parts parts;
  if (const auto node = root.find("normalizer")) {
    parts.normalizers = read_normalizers(*node);
  }
  if (const auto node = root.find("pre_tokenizer")) {
    parts.pre_tokenizers = read_pre_tokenizers(*node);
  }
  parts.model = read_byte_pair_model(root.at("model"));
  if (const auto node = root.find("added_tokens")) {
    read_added_tokens(*node, parts);
  }
  if (const auto node = root.find("post_processor")) {
    read_post_processor(*node, parts);
  }
  const auto decoder = root.find("decoder");
  parts.decoders = decoder ? read_decoders(*decoder) : std::vector<decode_step>{spaced_step{}};
  return parts;
}

}  // namespace kvtransfer::detail
