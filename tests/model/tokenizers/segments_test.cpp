// One text in segments: what may become a special token, and what a text that goes on from another begins with.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::id_list;
using kvtransfer::test::temporary_folder;

namespace {

/// The small SentencePiece model, from its tokenizer.model and as transformers writes it in a tokenizer.json.
std::vector<any_tokenizer> both_forms() {
  static const temporary_folder folder;
  test::put_sentencepiece(folder, R"({"bos_token": "<s>", "eos_token": "</s>"})");
  return {open_tokenizer(folder.path()), open_tokenizer(KVT_SOURCE_DIR "/tests/model/fixtures/tokenizer")};
}

id_list segments(const any_tokenizer& tokens, const std::vector<text_segment>& parts,
                 text_begin begin = text_begin::fresh) {
  return tokens.encode_segments(parts, begin);
}

}  // namespace

TEST_CASE("segments of one kind are what encode and encode_markup make of their text", "[model][tokenizers]") {
  for (const any_tokenizer& tokens : both_forms()) {
    for (const std::string text : {"My name is </s>Lyra.", " a", "", "</s>", "two  spaces \n<s> <unk>"}) {
      CAPTURE(text);
      CHECK(segments(tokens, {{text, false}}) == tokens.encode(text));
      CHECK(segments(tokens, {{text, true}}) == tokens.encode_markup(text));
    }
  }
}

TEST_CASE("segments are one text: tokens reach over their ends", "[model][tokenizers]") {
  for (const any_tokenizer& tokens : both_forms()) {
    const id_list whole = tokens.encode_markup("[INST] Paris is [/INST]");
    CHECK(segments(tokens, {{"[INST] ", true}, {"Paris is", false}, {" [/INST]", true}}) == whole);
    id_list apart = tokens.encode_markup("[INST] ");
    const id_list text = tokens.encode("Paris is");
    apart.insert(apart.end(), text.begin(), text.end());
    CHECK(id_list(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(apart.size())) != apart);
  }
}

TEST_CASE("a special token lies in one segment of markup or is text", "[model][tokenizers]") {
  for (const any_tokenizer& tokens : both_forms()) {
    const std::int64_t eos = tokens.boundaries().eos.front();
    const auto ends = [&](const std::vector<text_segment>& parts) {
      const id_list ids = segments(tokens, parts);
      return std::count(ids.begin(), ids.end(), eos);
    };
    CHECK(ends({{"a", false}, {"</s>", true}, {"b", false}}) == 1);
    CHECK(ends({{"a</s>", false}, {"</s>", true}, {"</s>", false}}) == 1);
    CHECK(ends({{"</", true}, {"s>", false}}) == 0);
    CHECK(ends({{"</", true}, {"s>", true}}) == 0);
    CHECK(ends({{"<", false}, {"/s>", true}}) == 0);
  }
}

TEST_CASE("a text that goes on from another gets no space in front", "[model][tokenizers]") {
  for (const any_tokenizer& tokens : both_forms()) {
    id_list ids = tokens.encode("Paris");
    for (const std::int64_t id : segments(tokens, {{" is the capital", false}}, text_begin::continued)) {
      ids.push_back(id);
    }
    CHECK(ids == tokens.encode("Paris is the capital"));
    CHECK(segments(tokens, {{"Paris", false}}, text_begin::continued) != tokens.encode("Paris"));
    CHECK(segments(tokens, {{"Paris", false}}, text_begin::fresh) == tokens.encode("Paris"));
  }
}
