#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer::detail {

namespace {

/// The token of an id must be there: nothing else checks it before a network reads it.
std::int64_t read_id(const json_node& node, const byte_pair_parts& parts) {
  const std::int64_t id = node.integer();
  if (parts.decoded_text_of(id) == nullptr) {
    node.refuse("an id that a token has");
  }
  return id;
}

/// ["</s>", 2]
std::int64_t read_named_id(const json_node& node, const byte_pair_parts& parts) {
  if (node.size() != 2) {
    node.refuse("a token's text and id");
  }
  const std::int64_t id = read_id(node.at(1), parts);
  if (node.at(std::size_t{0}).text() != *parts.decoded_text_of(id)) {
    node.refuse("a token's text and its own id");
  }
  return id;
}

/// The pieces of a template around the text, as ids in front and behind.
void read_template(const json_node& node, byte_pair_parts& parts) {
  node.only({"type", "single", "pair", "special_tokens"});
  const json_node pieces = node.at("single");
  std::vector<std::int64_t> before;
  std::vector<std::int64_t> behind;
  bool text_seen = false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const json_node piece = pieces.at(i);
    piece.only({"Sequence", "SpecialToken"});
    if (const auto text = piece.find("Sequence")) {
      if (text_seen || text->at("id").text() != "A") {
        text->refuse("the text, A, once");
      }
      text_seen = true;
      continue;
    }
    const json_node name = piece.at("SpecialToken").at("id");
    const json_node ids = node.at("special_tokens").at(name.text()).at("ids");
    for (std::size_t j = 0; j < ids.size(); ++j) {
      (text_seen ? behind : before).push_back(read_id(ids.at(j), parts));
    }
  }
  if (!text_seen) {
    pieces.refuse("the text, A, once");
  }
  std::vector<std::int64_t>& outer = parts.boundaries.before;
  outer.insert(outer.begin(), before.begin(), before.end());
  parts.boundaries.behind.insert(parts.boundaries.behind.end(), behind.begin(), behind.end());
}

}  // namespace

void read_post_processor(const json_node& node, byte_pair_parts& parts) {
  const json_node type = node.at("type");
  if (type.text() == "Sequence") {
    node.only({"type", "processors"});
    const json_node list = node.at("processors");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_post_processor(list.at(i), parts);
    }
  } else if (type.text() == "TemplateProcessing") {
    read_template(node, parts);
  } else if (type.text() == "BertProcessing" || type.text() == "RobertaProcessing") {
    node.only({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    parts.boundaries.before.insert(parts.boundaries.before.begin(), read_named_id(node.at("cls"), parts));
    parts.boundaries.behind.push_back(read_named_id(node.at("sep"), parts));
  } else if (type.text() == "ByteLevel") {
    node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});  // moves offsets only, and those are not ours
  } else {
    type.refuse("a type of Sequence, TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing");
  }
}

}  // namespace kvtransfer::detail
