// What a tokenizer.json may not say, and how it is refused.

#include "model/tokenizers/tokenizer_json.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "model/tokenizers/byte_pair_tokenizer.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::byte_pair_tokenizer;

namespace {

/// A whole file with `model` and more keys.
std::string json_with(std::string_view more, std::string_view vocab = R"({"a": 0, "b": 1, "ab": 2})",
                      std::string_view merges = R"(["a b"])") {
  return fmt::format(R"({{"version": "1.0", "model": {{"type": "BPE", "vocab": {}, "merges": {}}}{}{}}})", vocab,
                     merges, more.empty() ? "" : ", ", more);
}

byte_pair_tokenizer read_json_tokenizer(std::string_view content) {
  return byte_pair_tokenizer(
      std::make_shared<const detail::byte_pair_parts>(detail::read_tokenizer_json(content, "file")));
}

std::string refusal(std::string_view content) {
  return test::message_of<file_error>([&] { read_json_tokenizer(content); });
}

std::string added(std::string_view id, std::string_view content, std::string_view normalized = "false") {
  return fmt::format(
      R"({{"id": {}, "content": "{}", "single_word": false, "lstrip": false, "rstrip": false, "normalized": {}, "special": true}})",
      id, content, normalized);
}

using id_list = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("merges are read in both spellings", "[model][tokenizers]") {
  for (const char* merges : {R"(["a b"])", R"([["a", "b"]])"}) {
    CHECK(read_json_tokenizer(json_with("", R"({"a": 0, "b": 1, "ab": 2})", merges)).encode("abab") == id_list{2, 2});
  }
}

TEST_CASE("a part that is not known is refused by its place and name", "[model][tokenizers]") {
  CHECK_THAT(refusal(json_with(R"("normalizer": {"type": "Precompiled", "precompiled_charsmap": ""})")),
             test::contains("file: normalizer.type: expected a type of Sequence, Prepend"));
  CHECK_THAT(
      refusal(json_with(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})")),
      test::StartsWith("file: normalizer.normalizers[1].type: expected a type of"));
  CHECK_THAT(refusal(json_with(R"("pre_tokenizer": {"type": "UnicodeScripts"})")),
             test::EndsWith("got \"UnicodeScripts\""));
  CHECK_THAT(refusal(json_with(R"("decoder": {"type": "WordPiece", "prefix": "", "cleanup": true})")),
             test::StartsWith("file: decoder"));
  CHECK_THAT(refusal(json_with(R"("post_processor": {"type": "Other"})")), test::EndsWith("got \"Other\""));
  CHECK_THAT(refusal(R"({"model": {"type": "Unigram", "vocab": []}})"),
             test::Equals("file: model.type: expected BPE, got \"Unigram\""));
  CHECK_THAT(refusal(json_with(R"("pre_tokenizer": {"type": "Digits", "individual_digits": true, "more": 1})")),
             test::Equals(
                 "file: pre_tokenizer.more: expected one of the fields type, individual_digits, got an unknown field"));
  CHECK_THAT(refusal(json_with(R"("extra": 1)")),
             test::StartsWith("file: extra: expected one of the fields version, "));
}

TEST_CASE("settings that would change ids are refused, harmless spellings are not", "[model][tokenizers]") {
  const auto with_model = [](std::string_view more) {
    return fmt::format(R"({{"model": {{"vocab": {{"a": 0}}, "merges": [], {}}}}})", more);
  };
  CHECK_THAT(refusal(with_model(R"("dropout": 0.1)")), test::StartsWith("file: model.dropout: expected null"));
  CHECK_THAT(refusal(with_model(R"("continuing_subword_prefix": "##")")),
             test::StartsWith("file: model.continuing_subword_prefix: expected null"));
  CHECK_THAT(refusal(with_model(R"("end_of_word_suffix": "</w>")")), test::contains("got \"</w>\""));
  CHECK(refusal(with_model(R"("dropout": null, "continuing_subword_prefix": "", "end_of_word_suffix": null)")).empty());
  CHECK_THAT(refusal(R"({"version": "2.0", "model": {}})"), test::EndsWith("version: expected \"1.0\", got \"2.0\""));
}

TEST_CASE("what a training cut texts down and filled them up to changes no ids, as in transformers",
          "[model][tokenizers]") {
  const std::string left =
      json_with(R"("truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst",
      "stride": 0}, "padding": {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 1,
      "pad_type_id": 0, "pad_token": "b"})");
  CHECK(read_json_tokenizer(left).encode("aba") == id_list{2, 0});
}

TEST_CASE("a vocabulary that contradicts itself is refused", "[model][tokenizers]") {
  CHECK_THAT(refusal(json_with("", R"({"a": 0, "b": 0})", "[]")), test::EndsWith("that no other token has, got 0"));
  CHECK_THAT(refusal(json_with("", R"({"a": 99999999999})", "[]")),
             test::StartsWith("file: model.vocab.\"a\": expected an id from 0"));
  CHECK_THAT(refusal(json_with("", R"({"a": -1})", "[]")), test::EndsWith("got -1"));
  CHECK_THAT(refusal(json_with("", R"({"a": 0, "b": 1})", R"(["a b"])")),
             test::StartsWith("file: model.merges[0]: expected two tokens of model.vocab"));
  CHECK_THAT(refusal(json_with("", R"({"a": 0})", R"(["a"])")), test::EndsWith("got \"a\""));
  CHECK_THAT(refusal(json_with("", R"({"a": 0, "a": 1})", "[]")), test::contains("twice"));
}

TEST_CASE("added tokens have the ids that their places give them", "[model][tokenizers]") {
  CHECK(refusal(json_with(fmt::format(R"("added_tokens": [{}, {}])", added("3", "<x>"), added("0", "a")))).empty());
  CHECK_THAT(refusal(json_with(fmt::format(R"("added_tokens": [{}])", added("7", "<x>")))),
             test::Equals("file: added_tokens[0].id: expected 3, the id that the token's place gives it, got 7"));
  CHECK_THAT(refusal(json_with(fmt::format(R"("added_tokens": [{}])", added("1", "a")))), test::contains("expected 0"));
  CHECK_THAT(refusal(json_with(fmt::format(R"("added_tokens": [{}, {}])", added("3", "<x>"), added("4", "<x>")))),
             test::StartsWith("file: added_tokens[1]: expected a token with a text and an id of its own"));
  CHECK_THAT(refusal(json_with(fmt::format(R"("added_tokens": [{}])", added("3", "")))), test::contains("a text"));
}

TEST_CASE("a template puts its tokens around the text", "[model][tokenizers]") {
  const std::string special = R"("special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}})";
  const auto processed = [&](std::string_view single) {
    return json_with(fmt::format(
        R"("added_tokens": [{}], "post_processor": {{"type": "Sequence", "processors": [{{"type": "ByteLevel"}},)"
        R"( {{"type": "TemplateProcessing", "single": {}, "pair": [], {}}}]}})",
        added("3", "<s>"), single, special));
  };
  const std::string bos = R"({"SpecialToken": {"id": "<s>", "type_id": 0}})";
  const std::string text = R"({"Sequence": {"id": "A", "type_id": 0}})";
  const auto both = read_json_tokenizer(processed(fmt::format("[{}, {}, {}]", bos, text, bos)));
  CHECK(both.boundaries().before == id_list{3});
  CHECK(both.boundaries().behind == id_list{3});
  CHECK(encode_whole(both, "ab<s>") == id_list{3, 2, 3});  // the text's own <s> has no characters in this vocabulary
  CHECK_THAT(refusal(processed(fmt::format("[{}]", bos))), test::contains("post_processor.processors[1].single"));
  CHECK_THAT(refusal(processed(fmt::format("[{}, {}]", text, text))), test::contains("the text, A, once"));
  CHECK_THAT(refusal(processed(R"([{"SpecialToken": {"id": "<t>", "type_id": 0}}])")),
             test::contains("special_tokens: expected an object with <t>, got {\"<s>\""));
}

TEST_CASE("hostile files are refused in one line", "[model][tokenizers]") {
  std::string deep;
  for (int i = 0; i < 40; ++i) {
    deep += R"({"type": "Sequence", "normalizers": [)";
  }
  CHECK_THAT(refusal(json_with("\"normalizer\": " + deep)), test::contains("at most 64 nested levels"));
  CHECK_THAT(refusal(""), test::StartsWith("file: JSON:"));
  CHECK_THAT(refusal("[]"), test::StartsWith("file: document: expected an object"));
  CHECK_THAT(refusal("{}"), test::Equals("file: document: expected an object with model, got {}"));
  CHECK_THAT(refusal(R"({"model": {"vocab": {}}})"),
             test::StartsWith("file: model: expected an object with merges, got {"));
  const std::string split =
      R"("pre_tokenizer": {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex": "\\p{L\n}"}})";
  CHECK(
      refusal(json_with(split)) ==
      R"(file: pre_tokenizer.pattern.Regex: regex: expected constructs that are known here, got "\\p{L\n}" at byte 0)");
}

TEST_CASE("steps that double a text again and again are stopped", "[model][tokenizers]") {
  std::string steps;
  for (int i = 0; i < 40; ++i) {
    steps += R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},)";
  }
  steps.pop_back();
  const auto growing = read_json_tokenizer(
      json_with(fmt::format(R"("normalizer": {{"type": "Sequence", "normalizers": [{}]}})", steps)));
  CHECK_THAT(test::message_of<value_error>([&] { static_cast<void>(growing.encode("a")); }),
             test::StartsWith("encode: normalized text: expected at most"));
  const auto shrinking =
      read_json_tokenizer(json_with(fmt::format(R"("decoder": {{"type": "Sequence", "decoders": [{}]}})", steps)));
  CHECK_THAT(test::message_of<value_error>([&] { static_cast<void>(shrinking.decode(id_list{0})); }),
             test::StartsWith("decode: replaced text: expected at most"));
}

TEST_CASE("a long word without spaces takes time in proportion", "[model][tokenizers]") {
  const auto tokens = read_json_tokenizer(json_with("", R"({"a": 0, "aa": 1, "aaaa": 2})", R"(["a a", "aa aa"])"));
  CHECK(tokens.encode(std::string(1 << 20, 'a')).size() == 1 << 18);
}

TEST_CASE("characters that have no token are dropped, or refused where unk_token has none", "[model][tokenizers]") {
  CHECK(read_json_tokenizer(json_with("")).encode("axb") == id_list{2});
  const auto tokens = read_json_tokenizer(R"({"model": {"vocab": {"a": 0}, "merges": [], "unk_token": "<unk>"}})");
  CHECK(tokens.encode("a") == id_list{0});
  CHECK_THAT(test::message_of<value_error>([&] { static_cast<void>(tokens.encode("x")); }),
             test::contains("unk_token \"<unk>\" has no id"));
}

TEST_CASE("negative ids are refused, unknown ones give nothing", "[model][tokenizers]") {
  const auto tokens = read_json_tokenizer(json_with(""));
  CHECK(tokens.decode(id_list{0, 77, 1}) == "a b");
  CHECK_THROWS_AS(tokens.decode(id_list{-1}), value_error);
  CHECK_THROWS_AS(tokens.token_text(77), value_error);
  CHECK(tokens.vocab_size() == 3);
}
