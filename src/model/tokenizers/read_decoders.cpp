#include <cstddef>

#include "model/tokenizers/tokenizer_json.hpp"

namespace kvtransfer::detail {

namespace {

decode_step read_decoder(const json_reader& node) {
  const json_reader type = node.member("type");
  if (type.text() == "Replace") {
    node.allow_only({"type", "pattern", "content"});
    return replace_step{read_pattern(node.member("pattern")), node.member("content").text()};
  }
  if (type.text() == "Strip") {
    node.allow_only({"type", "content", "start", "stop"});
    return strip_step{read_character(node.member("content")),
                      static_cast<std::size_t>(node.member("start").integer(0, INT32_MAX)),
                      static_cast<std::size_t>(node.member("stop").integer(0, INT32_MAX))};
  }
  if (type.text() == "Metaspace") {
    node.allow_only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    const auto scheme = node.find("prepend_scheme");
    const bool never = scheme && scheme->text() == "never";
    return metaspace_step{read_character(node.member("replacement")), !never && node.boolean("add_prefix_space", true)};
  }
  if (type.text() == "ByteLevel") {
    node.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});  // none of them matters to decoding
    return byte_level_step{};
  }
  node.allow_only({"type"});
  if (type.text() == "ByteFallback") {
    return byte_fallback_step{};
  }
  if (type.text() == "Fuse") {
    return fuse_step{};
  }
  type.refuse("a type of Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip");
}

}  // namespace

std::vector<decode_step> read_decoders(const json_reader& node) {
  if (node.member("type").text() != "Sequence") {
    return {read_decoder(node)};
  }
  return read_sequence(node, "decoders", read_decoders);
}

}  // namespace kvtransfer::detail
