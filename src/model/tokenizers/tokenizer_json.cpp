#include "model/tokenizers/tokenizer_json.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "kvtransfer/core/git_lfs.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer::detail {

namespace {

added_token read_added_token(const json_reader& node) {
  node.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  return {.content = node.member("content").text(),
          .id = static_cast<std::int32_t>(node.member("id").integer(0, INT32_MAX)),
          .special = node.member("special").boolean(),
          .normalized = node.member("normalized").boolean(),
          .lstrip = node.member("lstrip").boolean(),
          .rstrip = node.member("rstrip").boolean(),
          .single_word = node.member("single_word").boolean()};
}

}  // namespace

void read_added_tokens(const json_reader& node, byte_pair_parts& parts) {
  auto next_new = static_cast<std::int64_t>(parts.model.vocabulary.size());
  node.for_each_item([&](const json_reader& entry) {
    added_token token = read_added_token(entry);
    // tokenizers does not read the id: a token that the model has keeps that id, another gets the next free one.
    const auto in_model = parts.model.vocabulary.id_of(token.content);
    const std::int64_t given = in_model ? *in_model : next_new++;
    if (token.id != given) {
      entry.member("id").refuse(fmt::format("{}, the id that the token's place gives it", given));
    }
    if (!parts.add(std::move(token))) {
      entry.refuse("a token with a text and an id of its own");
    }
  });
}

byte_pair_parts read_tokenizer_json(std::string_view content, std::string_view file) {
  refuse_git_lfs_pointer(content, file);
  const nlohmann::json parsed = parse_json(content, file);
  const json_reader root(parsed, file);
  // `truncation` and `padding` are what the last batch of a training was cut and filled up to; transformers resets both
  // at every call, and nothing is cut here.
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                   "decoder", "model"});
  if (const auto version = root.find("version"); version && version->text() != "1.0") {
    version->refuse("\"1.0\"");
  }

  byte_pair_parts parts;
  if (const auto node = root.find("normalizer")) {
    parts.normalizers = read_normalizers(*node);
  }
  if (const auto node = root.find("pre_tokenizer")) {
    parts.pre_tokenizers = read_pre_tokenizers(*node);
  }
  parts.model = read_byte_pair_model(root.member("model"));
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
