// Whole vocabularies of each shape that models have, against the tokenizers package (make_fixtures.py).

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::hard_texts;
using kvtransfer::test::id_list;

namespace {

/// Opens a fixture's folder; those of SentencePiece share one model.
any_tokenizer open_fixture(const std::string& name) {
  const auto folder = test::tokenizer_fixtures() / name;
  if (!name.starts_with("sentencepiece")) {
    return open_tokenizer(folder);
  }
  const test::temporary_folder complete;
  test::put_sentencepiece(complete, read_text(folder / "tokenizer_config.json"));
  return open_tokenizer(complete.path());
}

/// The text of ids that come one by one, each part valid by itself.
std::string streamed(const any_tokenizer& tokens, const id_list& ids) {
  text_stream stream = tokens.stream();
  std::string text;
  for (const std::int64_t id : ids) {
    const std::string part = stream.push(id);
    CHECK_NOTHROW(nlohmann::json(part).dump());  // it throws for what is no UTF-8
    text += part;
  }
  return text + stream.finish();
}

void check_vocabulary(const std::string& name) {
  CAPTURE(name);
  const any_tokenizer tokens = open_fixture(name);
  const nlohmann::json expected = test::read_fixture(name + "/expected.json");
  std::vector<std::optional<id_list>> as_markup(hard_texts().size());
  REQUIRE(expected["plain"].size() == hard_texts().size());
  for (std::size_t i = 0; i < hard_texts().size(); ++i) {
    if (expected["plain"][i].is_null()) {
      continue;
    }
    CAPTURE(i, hard_texts()[i]);
    as_markup[i] = expected["plain"][i].get<id_list>();
    CHECK(tokens.encode(hard_texts()[i]) == *as_markup[i]);
    CHECK(tokens.decode(*as_markup[i]) == expected["decoded_plain"][i].get<std::string>());
    CHECK(streamed(tokens, *as_markup[i]) == expected["decoded_plain"][i].get<std::string>());
  }
  for (const nlohmann::json& other : expected["markup"]) {
    as_markup[other[0].get<std::size_t>()] = other[1].get<id_list>();
  }
  for (std::size_t i = 0; i < hard_texts().size(); ++i) {
    if (as_markup[i]) {
      CAPTURE(i, hard_texts()[i]);
      CHECK(tokens.encode_markup(hard_texts()[i]) == *as_markup[i]);
    }
  }
  CHECK(encode_whole(tokens, hard_texts()[0]) == expected["whole_first"].get<id_list>());
  for (const nlohmann::json& one : expected["decoded"]) {
    CAPTURE(one[0]);
    CHECK(tokens.decode(one[0].get<id_list>()) == one[1].get<std::string>());
    CHECK(streamed(tokens, one[0].get<id_list>()) == one[1].get<std::string>());
  }
}

}  // namespace

TEST_CASE("byte-level vocabularies give the ids and texts that tokenizers gives", "[model][tokenizers]") {
  for (const char* name : {"llama3_like", "qwen_like", "tekken_like", "smollm_like"}) {
    check_vocabulary(name);
  }
}

TEST_CASE("byte-fallback vocabularies give the ids and texts that tokenizers gives", "[model][tokenizers]") {
  for (const char* name : {"llama2_like", "metaspace_like", "gemma_like", "phi3_like"}) {
    check_vocabulary(name);
  }
}

TEST_CASE("every flag of an added token means what it means to tokenizers", "[model][tokenizers]") {
  check_vocabulary("flags_like");
}

TEST_CASE("SentencePiece folders give the ids and texts that transformers gives", "[model][tokenizers]") {
  for (const char* name : {"sentencepiece_plain", "sentencepiece_no_bos", "sentencepiece_eos",
                           "sentencepiece_no_prefix", "sentencepiece_added", "sentencepiece_legacy"}) {
    check_vocabulary(name);
  }
}

TEST_CASE("a plain text never becomes a special token, not even where merges lead to one", "[model][tokenizers]") {
  const any_tokenizer tokens = open_fixture("gemma_like");
  const std::int64_t special = tokens.encode_markup("<s>").at(0);
  CHECK(tokens.token_text(special) == "<s>");
  for (const char* name : {"llama3_like", "qwen_like", "tekken_like", "smollm_like", "llama2_like", "metaspace_like",
                           "gemma_like", "phi3_like", "sentencepiece_added"}) {
    CAPTURE(name);
    const any_tokenizer one = open_fixture(name);
    for (const std::string& text : hard_texts()) {
      for (const std::int64_t id : one.encode(text)) {
        const std::string token = one.token_text(id);
        const bool special_text = token.size() > 2 && token.starts_with('<') && token.ends_with('>') &&
                                  one.encode_markup(token) == id_list{id} && one.decode(id_list{id}).empty();
        CHECK((!special_text || token == "<unk>"));
      }
    }
  }
}
