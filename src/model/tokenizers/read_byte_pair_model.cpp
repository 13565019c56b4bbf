#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/core/excerpt.hpp"
#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer::detail {

namespace {

/// A setting that other models use, in its harmless spelling only.
void refuse_unless_empty(const json_reader& node, std::string_view key) {
  if (const auto found = node.find(key); found && !found->text().empty()) {
    found->refuse("null: a setting that is not supported");
  }
}

void read_vocabulary(const json_reader& node, token_table& vocabulary) {
  if (!node.value().is_object()) {
    node.refuse("an object of tokens and their ids");
  }
  for (const auto& [text, id] : node.value().items()) {
    const bool fits = id.is_number_integer() && id >= 0 && id <= INT32_MAX;
    if (!fits || !vocabulary.insert(text, id.get<std::int32_t>())) {
      json_reader(id, node.file(), fmt::format("model.vocab.{}", excerpt(text)))
          .refuse(fmt::format("an id from 0 to {} that no other token has", INT32_MAX));
    }
  }
}

/// "a b" or ["a", "b"]; nothing for anything else.
std::optional<std::pair<std::string, std::string>> pair_of(const nlohmann::json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (!merge.is_string()) {
    return std::nullopt;
  }
  const std::string& text = merge.get_ref<const std::string&>();
  const std::size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) {
    return std::nullopt;
  }
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

}  // namespace

byte_pair_model read_byte_pair_model(const json_reader& node) {
  // The oldest files leave the type out.
  if (const auto type = node.find("type"); type && type->text() != "BPE") {
    type->refuse("BPE");
  }
  node.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                   "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const auto dropout = node.find("dropout"); dropout && dropout->value() != 0) {
    dropout->refuse("null: merges left out at random give other ids each time");
  }
  refuse_unless_empty(node, "continuing_subword_prefix");
  refuse_unless_empty(node, "end_of_word_suffix");

  byte_pair_model model;
  model.fuse_unk = node.boolean("fuse_unk", false);
  model.byte_fallback = node.boolean("byte_fallback", false);
  model.ignore_merges = node.boolean("ignore_merges", false);
  if (const auto unknown = node.find("unk_token")) {
    model.unk_token = unknown->text();
  }
  read_vocabulary(node.member("vocab"), model.vocabulary);

  const json_reader merges = node.member("merges");
  if (!merges.value().is_array()) {
    merges.refuse("a list");
  }
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto pair = pair_of(merges.value()[i]);
    if (!pair || !model.add_merge(pair->first, pair->second, static_cast<std::int32_t>(i))) {
      merges.item(i).refuse("two tokens of model.vocab that join to another, \"a b\" or [\"a\", \"b\"]");
    }
  }
  return model;
}

}  // namespace kvtransfer::detail
