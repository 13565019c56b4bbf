#include <array>
#include <string>
#include <utility>

#include "model/tokenizers/tokenizer_json.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

split_behavior read_behavior(const json_reader& node) {
  static constexpr std::array<std::pair<std::string_view, split_behavior>, 5> names{{
      {"Removed", split_behavior::removed},
      {"Isolated", split_behavior::isolated},
      {"MergedWithPrevious", split_behavior::merged_with_previous},
      {"MergedWithNext", split_behavior::merged_with_next},
      {"Contiguous", split_behavior::contiguous},
  }};
  for (const auto& [name, behavior] : names) {
    if (node.text() == name) {
      return behavior;
    }
  }
  node.refuse("one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

pre_tokenizer read_metaspace(const json_reader& node) {
  node.allow_only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  std::string replacement;
  append_utf8(replacement, read_character(node.member("replacement")));
  if (const auto same = node.find("str_rep"); same && same->text() != replacement) {
    same->refuse("the replacement once more");
  }
  const auto written = node.find("prepend_scheme");
  const std::string scheme = written ? written->text() : "always";
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    written->refuse("one of always, first, never");
  }
  const bool prefix = node.boolean("add_prefix_space", true);  // how older files say "never"
  if (!prefix && written && scheme != "never") {
    written->refuse("never, as add_prefix_space is false");
  }
  const prepend_scheme chosen = !prefix || scheme == "never" ? prepend_scheme::never
                                : scheme == "first"          ? prepend_scheme::first
                                                             : prepend_scheme::always;
  return metaspace(replacement, chosen, node.boolean("split", true));
}

pre_tokenizer read_pre_tokenizer(const json_reader& node) {
  const json_reader type = node.member("type");
  if (type.text() == "Split") {
    node.allow_only({"type", "pattern", "behavior", "invert"});
    return split_at(read_pattern(node.member("pattern")), read_behavior(node.member("behavior")),
                    node.member("invert").boolean());
  }
  if (type.text() == "ByteLevel") {
    node.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});  // offsets into the text are not ours
    return byte_level(node.member("add_prefix_space").boolean(), node.boolean("use_regex", true));
  }
  if (type.text() == "Digits") {
    node.allow_only({"type", "individual_digits"});
    const bool each = node.member("individual_digits").boolean();
    return split_at_characters(&is_number, each ? split_behavior::isolated : split_behavior::contiguous);
  }
  if (type.text() == "Metaspace") {
    return read_metaspace(node);
  }
  if (type.text() == "Punctuation") {
    node.allow_only({"type", "behavior"});
    const auto behavior = node.find("behavior");
    return split_at_characters(&is_punctuation, behavior ? read_behavior(*behavior) : split_behavior::isolated);
  }
  if (type.text() == "CharDelimiterSplit" || type.text() == "Delimiter") {
    node.allow_only({"type", "delimiter"});
    std::string delimiter;
    append_utf8(delimiter, read_character(node.member("delimiter")));
    return split_at_delimiter(delimiter);
  }
  if (type.text() == "FixedLength") {
    node.allow_only({"type", "length"});
    return split_by_length(static_cast<std::size_t>(node.member("length").integer(1, INT32_MAX)));
  }
  if (type.text() == "WhitespaceSplit") {
    node.allow_only({"type"});
    return split_at_characters(&is_white_space, split_behavior::removed);
  }
  if (type.text() == "Whitespace") {
    node.allow_only({"type"});
    return split_words();
  }
  type.refuse(
      "a type of Sequence, Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit, "
      "CharDelimiterSplit, BertPreTokenizer, FixedLength");
}

}  // namespace

std::vector<pre_tokenizer> read_pre_tokenizers(const json_reader& node) {
  const std::string type = node.member("type").text();
  if (type == "BertPreTokenizer") {
    node.allow_only({"type"});
    return {split_at_characters(&is_white_space, split_behavior::removed),
            split_at_characters(&is_punctuation, split_behavior::isolated)};
  }
  if (type != "Sequence") {
    return {read_pre_tokenizer(node)};
  }
  return read_sequence(node, "pretokenizers", read_pre_tokenizers);
}

}  // namespace kvtransfer::detail
