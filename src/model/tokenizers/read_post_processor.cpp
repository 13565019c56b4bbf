#include <cstdint>
#include <vector>

#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer::detail {

namespace {

/// The token of an id must be there: nothing else checks it before a network reads it.
std::int64_t read_id(const json_reader& node, const byte_pair_parts& parts) {
  const std::int64_t id = node.integer(0, INT32_MAX);
  if (parts.decoded_text_of(id) == nullptr) {
    node.refuse("an id that a token has");
  }
  return id;
}

/// ["</s>", 2]
std::int64_t read_named_id(const json_reader& node, const byte_pair_parts& parts) {
  if (!node.value().is_array() || node.size() != 2) {
    node.refuse("a token's text and id");
  }
  const std::int64_t id = read_id(node.item(1), parts);
  if (node.item(0).text() != *parts.decoded_text_of(id)) {
    node.refuse("a token's text and its own id");
  }
  return id;
}

/// The pieces of a template around the text, as ids in front and behind.
void read_template(const json_reader& node, byte_pair_parts& parts) {
  node.allow_only({"type", "single", "pair", "special_tokens"});
  const json_reader pieces = node.member("single");
  std::vector<std::int64_t> before;
  std::vector<std::int64_t> behind;
  bool text_seen = false;
  pieces.for_each_item([&](const json_reader& piece) {
    piece.allow_only({"Sequence", "SpecialToken"});
    if (const auto text = piece.find("Sequence")) {
      if (text_seen || text->member("id").text() != "A") {
        text->refuse("the text, A, once");
      }
      text_seen = true;
      return;
    }
    const json_reader name = piece.member("SpecialToken").member("id");
    const json_reader ids = node.member("special_tokens").member(name.text()).member("ids");
    ids.for_each_item([&](const json_reader& id) { (text_seen ? behind : before).push_back(read_id(id, parts)); });
  });
  if (!text_seen) {
    pieces.refuse("the text, A, once");
  }
  std::vector<std::int64_t>& outer = parts.boundaries.before;
  outer.insert(outer.begin(), before.begin(), before.end());
  parts.boundaries.behind.insert(parts.boundaries.behind.end(), behind.begin(), behind.end());
}

}  // namespace

void read_post_processor(const json_reader& node, byte_pair_parts& parts) {
  const json_reader type = node.member("type");
  if (type.text() == "Sequence") {
    node.allow_only({"type", "processors"});
    node.member("processors").for_each_item([&](const json_reader& one) { read_post_processor(one, parts); });
  } else if (type.text() == "TemplateProcessing") {
    read_template(node, parts);
  } else if (type.text() == "BertProcessing" || type.text() == "RobertaProcessing") {
    node.allow_only({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    parts.boundaries.before.insert(parts.boundaries.before.begin(), read_named_id(node.member("cls"), parts));
    parts.boundaries.behind.push_back(read_named_id(node.member("sep"), parts));
  } else if (type.text() == "ByteLevel") {
    node.allow_only(
        {"type", "add_prefix_space", "trim_offsets", "use_regex"});  // moves offsets only, and those are not ours
  } else {
    type.refuse("a type of Sequence, TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing");
  }
}

}  // namespace kvtransfer::detail
