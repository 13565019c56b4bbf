#include <string>
#include <vector>

#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "model/tokenizers/gguf_pre_tokenizers.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::id_list;

namespace {

/// The vocabulary of a fixture's tokenizer.json, as a GGUF file's metadata has it.
gguf_vocabulary metadata_of(const std::string& fixture, const std::string& pre) {
  const nlohmann::json file = test::read_fixture(fixture + "/tokenizer.json");
  gguf_vocabulary made;
  made.file = "model.gguf";
  made.model = "gpt2";
  made.pre = pre;
  made.tokens.resize(file["model"]["vocab"].size());
  for (const auto& [text, id] : file["model"]["vocab"].items()) {
    made.tokens[id.get<std::size_t>()] = text;
  }
  made.token_types.assign(made.tokens.size(), 1);
  for (const nlohmann::json& added : file["added_tokens"]) {
    made.tokens.push_back(added["content"].get<std::string>());
    made.token_types.push_back(added["special"].get<bool>() ? 3 : 4);
  }
  for (const nlohmann::json& merge : file["model"]["merges"]) {
    made.merges.push_back(merge.is_string() ? merge.get<std::string>()
                                            : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return made;
}

/// The fixture's SentencePiece model taken apart: what a GGUF file would hold.
gguf_vocabulary sentencepiece_metadata() {
  gguf_vocabulary made;
  made.file = "model.gguf";
  made.model = "llama";
  for (const nlohmann::json& piece : test::read_fixture("sentencepiece_pieces.json")) {
    made.tokens.push_back(piece[0].get<std::string>());
    made.scores.push_back(piece[1].get<float>());
    made.token_types.push_back(piece[2].get<std::int32_t>());
  }
  return made;
}

/// What a named pre-tokenizer makes of a text.
std::vector<std::string> split_by(std::string_view name, const std::string& text) {
  const auto made = detail::pre_tokenizer_named(name, /*add_space_prefix=*/false, "file");
  std::vector<detail::text_piece> pieces{{text, true}};
  for (const auto& normalize : made.normalizers) {
    normalize(pieces[0]);
  }
  for (const auto& split : made.pre_tokenizers) {
    split(pieces);
  }
  std::vector<std::string> words;
  for (const auto& piece : pieces) {
    words.push_back(piece.text);
  }
  return words;
}

std::string refusal(const gguf_vocabulary& vocabulary) {
  return test::message_of<file_error>([&] { static_cast<void>(tokenizer_of(vocabulary)); });
}

}  // namespace

TEST_CASE("metadata gives the ids of the family's own tokenizer.json", "[model][tokenizers]") {
  struct example {
    const char* fixture;
    const char* pre;
  };
  for (const example& one : {example{"smollm_like", "smollm"}, example{"qwen_like", "qwen2"},
                             example{"llama3_like", "llama-bpe"}, example{"tekken_like", "tekken"}}) {
    CAPTURE(one.fixture);
    const any_tokenizer from_json = open_tokenizer(test::tokenizer_fixtures() / one.fixture);
    const any_tokenizer from_metadata = tokenizer_of(metadata_of(one.fixture, one.pre));
    for (const std::string& text : test::hard_texts()) {
      CAPTURE(text);
      const id_list ids = from_json.encode_markup(text);
      CHECK(from_metadata.encode_markup(text) == ids);
      CHECK(from_metadata.encode(text) == from_json.encode(text));
      CHECK(from_metadata.decode(ids) == from_json.decode(ids));
    }
  }
}

TEST_CASE("each pre-tokenizer's name stands for the family's own split", "[model][tokenizers]") {
  const auto words_of = [](std::string_view name) { return split_by(name, "I'M 123 a\u0301/\n"); };
  using words = std::vector<std::string>;
  const std::string decomposed = "ĠaÌģ";
  const std::string composed = "ĠÃ¡";
  CHECK(words_of("gpt-2") == words{"I", "'", "M", "Ġ123", "Ġa", "Ìģ/", "Ċ"});
  CHECK(words_of("smollm") == words{"I", "'", "M", "Ġ", "1", "2", "3", "Ġa", "Ìģ/", "Ċ"});
  CHECK(words_of("llama-bpe") == words{"I", "'M", "Ġ", "123", "Ġa", "Ìģ/Ċ"});
  CHECK(words_of("dbrx") == words_of("llama-bpe"));
  CHECK(words_of("qwen2") == words{"I", "'M", "Ġ", "1", "2", "3", composed, "/Ċ"});
  CHECK(words_of("qwen35") == words_of("qwen2"));
  CHECK(words_of("tekken") == words{"I", "'M", "Ġ", "1", "2", "3", decomposed, "/Ċ"});
  CHECK(words_of("gpt-4o") == words{"I'M", "Ġ", "123", decomposed, "/Ċ"});
}

TEST_CASE("the name default stands for llama.cpp's fallback, four splits one after the other", "[model][tokenizers]") {
  const nlohmann::json parts = test::read_fixture("parts.json");
  for (std::size_t i = 0; i < parts["texts"].size(); ++i) {
    const auto text = parts["texts"][i].get<std::string>();
    CAPTURE(text);
    CHECK(split_by("default", text) == parts["gguf_default"][i].get<std::vector<std::string>>());
  }
  CHECK(split_by("default", "1234") != split_by("gpt-2", "1234"));
}

TEST_CASE("metadata of SentencePiece gives the ids of its tokenizer.model", "[model][tokenizers]") {
  const test::temporary_folder folder;
  for (const bool prefix : {true, false}) {
    test::put_sentencepiece(folder, prefix ? "{}" : R"({"add_prefix_space": false})");
    gguf_vocabulary metadata = sentencepiece_metadata();
    metadata.add_space_prefix = prefix;
    const any_tokenizer from_folder = open_tokenizer(folder.path());
    const any_tokenizer from_metadata = tokenizer_of(metadata);
    CHECK(from_metadata.boundaries() == from_folder.boundaries());
    for (const std::string& text : test::hard_texts()) {
      CAPTURE(text);
      const id_list ids = from_folder.encode(text);
      CHECK(from_metadata.encode(text) == ids);
      CHECK(from_metadata.encode_markup(text) == from_folder.encode_markup(text));
      CHECK(from_metadata.decode(ids) == from_folder.decode(ids));
    }
  }
}

TEST_CASE("BOS is added where the metadata says so, else by the family's rule", "[model][tokenizers]") {
  gguf_vocabulary made = metadata_of("llama3_like", "llama-bpe");
  const std::int64_t bos = static_cast<std::int64_t>(made.tokens.size()) - 3;
  made.bos_token_id = bos;
  made.eos_token_id = bos + 1;
  made.more_eos_ids = {bos + 2};
  CHECK(tokenizer_of(made).boundaries().before == id_list{bos});
  CHECK(tokenizer_of(made).boundaries().eos == id_list{bos + 1, bos + 2});
  made.add_bos_token = false;
  made.add_eos_token = true;
  CHECK(tokenizer_of(made).boundaries().before.empty());
  CHECK(tokenizer_of(made).boundaries().behind == id_list{bos + 1});
  made.add_bos_token.reset();
  made.pre = "qwen2";
  CHECK(tokenizer_of(made).boundaries().before.empty());
  CHECK(tokenizer_of(made).files() == std::vector<std::filesystem::path>{"model.gguf"});
}

TEST_CASE("metadata that is not understood or contradicts itself is refused by its key", "[model][tokenizers]") {
  const gguf_vocabulary good = metadata_of("smollm_like", "smollm");
  const auto changed = [&](auto change) {
    gguf_vocabulary made = good;
    change(made);
    return refusal(made);
  };
  CHECK(refusal(good).empty());
  CHECK_THAT(
      changed([](auto& v) { v.pre = "new-model"; }),
      test::Equals("model.gguf: tokenizer.ggml.pre: expected one of gpt-2, default, smollm, qwen2, qwen35, llama-bpe, "
                   "dbrx, tekken, gpt-4o, got \"new-model\""));
  CHECK_THAT(changed([](auto& v) { v.model = "bert"; }), test::EndsWith("expected gpt2 or llama, got \"bert\""));
  CHECK_THAT(changed([](auto& v) { v.tokens.clear(); }), test::StartsWith("model.gguf: tokenizer.ggml.tokens:"));
  CHECK_THAT(changed([](auto& v) { v.tokens[5] = v.tokens[4]; }),
             test::contains("tokens[5]: expected a token that no other"));
  CHECK_THAT(changed([](auto& v) { v.tokens[5] = "\xff"; }), test::contains("tokens[5]: expected UTF-8"));
  CHECK_THAT(changed([](auto& v) { v.token_types.pop_back(); }), test::contains("token_type: expected"));
  CHECK_THAT(changed([](auto& v) { v.token_types[3] = 9; }), test::EndsWith("token_type[3]: expected 1 to 6, got 9"));
  CHECK_THAT(changed([](auto& v) { v.merges[0] = "ab"; }), test::contains("merges[0]: expected two tokens"));
  CHECK_THAT(changed([](auto& v) { v.bos_token_id = 1 << 20; }), test::contains("bos_token_id: expected 0 <= id <"));
  CHECK_THAT(changed([](auto& v) { v.eos_token_id = -1; }), test::EndsWith("got -1"));
  CHECK_THAT(changed([](auto& v) { v.model = "llama"; }), test::contains("scores: expected"));
  gguf_vocabulary spm = sentencepiece_metadata();
  spm.token_types[0] = 1;  // no unknown piece
  CHECK_THAT(refusal(spm), test::StartsWith("model.gguf: content: expected a SentencePiece model"));
}
