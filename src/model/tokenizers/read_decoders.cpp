#include <cstddef>
#include <iterator>
#include <string>

#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer::detail {

namespace {

decode_step read_one(const json_node& node) {
  const json_node type = node.at("type");
  if (type.text() == "Replace") {
    node.only({"type", "pattern", "content"});
    return replace_step{read_pattern(node.at("pattern")), node.at("content").text()};
  }
  if (type.text() == "Strip") {
    node.only({"type", "content", "start", "stop"});
    return strip_step{read_character(node.at("content")), static_cast<std::size_t>(node.at("start").integer()),
                      static_cast<std::size_t>(node.at("stop").integer())};
  }
  if (type.text() == "Metaspace") {
    node.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    const auto scheme = node.find("prepend_scheme");
    const bool never = scheme && scheme->text() == "never";
    return metaspace_step{read_character(node.at("replacement")), !never && node.boolean("add_prefix_space", true)};
  }
  if (type.text() == "ByteLevel") {
    node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});  // none of them matters to decoding
    return byte_level_step{};
  }
  node.only({"type"});
  if (type.text() == "ByteFallback") {
    return byte_fallback_step{};
  }
  if (type.text() == "Fuse") {
    return fuse_step{};
  }
  type.refuse("a type of Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip");
}

}  // namespace

std::vector<decode_step> read_decoders(const json_node& node) {
  if (node.at("type").text() != "Sequence") {
    return {read_one(node)};
  }
  node.only({"type", "decoders"});
  std::vector<decode_step> all;
  const json_node list = node.at("decoders");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto more = read_decoders(list.at(i));
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace kvtransfer::detail
