#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
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
    const auto id = added["id"].get<std::size_t>();  // that of a token of the model's, or the next
    made.tokens.resize(std::max(made.tokens.size(), id + 1), added["content"].get<std::string>());
    made.token_types.resize(made.tokens.size());
    made.token_types[id] = added["special"].get<bool>() ? 3 : 4;
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

/// A fixture's byte-fallback BPE as a SentencePiece vocabulary: what is merged first has the greatest score.
gguf_vocabulary scored_metadata_of(const std::string& fixture) {
  gguf_vocabulary made = metadata_of(fixture, "");
  made.model = "llama";
  made.bos_token_id = 1;
  made.eos_token_id = 2;
  made.scores.assign(made.tokens.size(), 0.0F);
  for (std::size_t i = 0; i < made.merges.size(); ++i) {
    std::string merged = made.merges[i];
    merged.erase(merged.find(' ', 1), 1);
    const auto place = std::ranges::find(made.tokens, merged) - made.tokens.begin();
    made.scores[static_cast<std::size_t>(place)] = -static_cast<float>(i);
  }
  for (std::size_t i = 0; i < made.tokens.size(); ++i) {
    const bool is_byte = made.tokens[i].starts_with("<0x") && made.tokens[i].size() == 6;
    made.token_types[i] = is_byte ? 6 : (made.tokens[i] == "<unk>" ? 2 : made.token_types[i]);
  }
  for (const char* control : {"<s>", "</s>"}) {
    made.token_types[static_cast<std::size_t>(std::ranges::find(made.tokens, control) - made.tokens.begin())] = 3;
  }
  made.merges.clear();
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
  for (const char* same : {"dbrx", "llama3", "llama-v3", "smaug-bpe"}) {
    CHECK(words_of(same) == words_of("llama-bpe"));
  }
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
  struct example {
    bool prefix;
    bool instructed;
    const char* settings;
  };
  for (const auto& [prefix, instructed, settings] :
       {example{true, false, R"({"legacy": true})"},
        example{true, true, R"({"added_tokens_decoder": {"360": {"content": "[INST]", "special": true}}})"},
        example{false, false, R"({"add_prefix_space": false})"}}) {
    CAPTURE(settings);
    test::put_sentencepiece(folder, settings);
    gguf_vocabulary metadata = sentencepiece_metadata();
    metadata.add_space_prefix = prefix;
    if (instructed) {
      REQUIRE(metadata.tokens.size() == 360);
      metadata.tokens.emplace_back("[INST]");
      metadata.scores.push_back(0);
      metadata.token_types.push_back(3);
    }
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

TEST_CASE("a SentencePiece vocabulary without its one unknown token, as Gemma 3's files are, reads as with it",
          "[model][tokenizers]") {
  const any_tokenizer own = tokenizer_of(sentencepiece_metadata());
  gguf_vocabulary none = sentencepiece_metadata();
  none.token_types[0] = 3;  // <unk> as a control token: known by its text
  gguf_vocabulary stated = none;
  stated.tokens[0] = "<unknown>";
  stated.unknown_token_id = 0;
  gguf_vocabulary several = sentencepiece_metadata();
  several.token_types[1] = 2;
  several.unknown_token_id = 0;
  for (const std::string& text : test::hard_texts()) {
    CAPTURE(text);
    CHECK(tokenizer_of(none).encode(text) == own.encode(text));
    CHECK(tokenizer_of(stated).encode(text) == own.encode(text));
    CHECK(tokenizer_of(several).encode(text) == own.encode(text));
  }
}

TEST_CASE("runs of spaces that a GGUF file writes as they stand in a text are found in it", "[model][tokenizers]") {
  gguf_vocabulary metadata = sentencepiece_metadata();
  metadata.add_space_prefix = false;
  const auto id = [&](std::string_view token) {
    metadata.tokens.emplace_back(token);
    metadata.scores.push_back(-1000);
    metadata.token_types.push_back(4);
    return static_cast<std::int64_t>(metadata.tokens.size() - 1);
  };
  const std::int64_t two = id("  "), three = id("   "), lines = id("\n\n");
  const any_tokenizer made = tokenizer_of(metadata);
  const auto a = made.encode("a"), b = made.encode("b");
  REQUIRE(a.size() == 1);
  REQUIRE(b.size() == 1);
  CHECK(made.encode("a  b") == id_list{a[0], two, b[0]});
  CHECK(made.encode("a   b\n\na") == id_list{a[0], three, b[0], lines, a[0]});
  CHECK(made.decode(made.encode("a   b\n\n  a")) == "a   b\n\n  a");
}

TEST_CASE("Phi-3's tokens take the white space behind them, which no key of a GGUF file says", "[model][tokenizers]") {
  const any_tokenizer own = open_tokenizer(test::tokenizer_fixtures() / "phi3_like");
  const std::vector<std::string> chats{"<|user|>\nWhat is your name?<|end|>\n<|assistant|>\n",
                                       "<|user|> \n\t two<|end|>x", "a <|user|>b <|end|> \xE3\x80\x80",
                                       "\n<|end|>\n\n<|assistant|>  my <s> name"};
  gguf_vocabulary metadata = scored_metadata_of("phi3_like");
  const auto plain = tokenizer_of(metadata).encode_markup(chats[0]);
  CHECK(plain != own.encode_markup(chats[0]));  // of another family, the line ends stay
  metadata.architecture = "phi3";
  const any_tokenizer by_architecture = tokenizer_of(metadata);
  metadata.architecture = "llama";
  metadata.name = "Phi-3 Mini as a Llama";
  const any_tokenizer by_name = tokenizer_of(metadata);
  for (const std::string& text : chats) {
    CAPTURE(text);
    CHECK(by_architecture.encode_markup(text) == own.encode_markup(text));
    CHECK(by_name.encode_markup(text) == own.encode_markup(text));
    CHECK(by_architecture.encode(text) == own.encode(text));  // text that looks like tokens stays text
  }
}

TEST_CASE("Phi-3's user-defined tokens with spaces are found as they stand in a text, and nowhere else",
          "[model][tokenizers]") {
  const any_tokenizer own = open_tokenizer(test::tokenizer_fixtures() / "phi3_like");  // as the tokenizers package
  gguf_vocabulary metadata = scored_metadata_of("phi3_like");
  REQUIRE(metadata.tokens[904] == " abab");
  metadata.architecture = "phi3";
  const any_tokenizer made = tokenizer_of(metadata);
  const std::vector<std::string> texts{"Hello, world!  x",
                                       "the capital of \n France",
                                       "a abab",
                                       " abab x",
                                       "a  abab",
                                       "abababab",  // no such token, though a space is put in front
                                       "capital▁of Hello,▁world!"};
  for (const std::string& text : texts) {
    CAPTURE(text);
    const id_list ids = own.encode(text);
    CHECK(made.encode(text) == ids);
    CHECK(made.encode_markup(text) == own.encode_markup(text));
    CHECK(made.decode(ids) == own.decode(ids));
  }
  CHECK(made.decode(made.encode(" abab x")) == "abab x");
  for (const std::int64_t id : {903, 904, 905}) {
    const id_list ids{1, id, id};
    CHECK(made.decode(ids) == own.decode(ids));
    CHECK(made.token_text(id) == own.token_text(id));
  }
}

TEST_CASE("Phi-4's tokens take the white space around them, Phi-4-mini's that behind its turns",
          "[model][tokenizers]") {
  gguf_vocabulary metadata = metadata_of("qwen_like", "dbrx");  // its tokens serve for Phi-4's
  const auto id = [&](std::string_view text) {
    return static_cast<std::int64_t>(std::ranges::find(metadata.tokens, text) - metadata.tokens.begin());
  };
  const id_list both{id("<|im_start|>"), id("a"), id("<|im_end|>")};
  const std::string spaced = " <|im_start|>\n a \n<|im_end|>\n";
  CHECK(tokenizer_of(metadata).encode_markup(spaced).size() > both.size());
  metadata.architecture = "phi3";
  CHECK(tokenizer_of(metadata).encode_markup(spaced) == both);
  CHECK(tokenizer_of(metadata).encode_markup(" <think> ").size() == 3);  // not special: nothing is taken

  metadata.pre = "gpt-4o";
  CHECK(tokenizer_of(metadata).encode_markup(spaced).size() > both.size());
  std::ranges::replace(metadata.tokens, std::string("<|im_start|>"), std::string("<|user|>"));
  std::ranges::replace(metadata.tokens, std::string("<|im_end|>"), std::string("<|end|>"));
  CHECK(tokenizer_of(metadata).encode_markup("<|user|>\n a<|end|>\n") == both);
  CHECK(tokenizer_of(metadata).encode_markup("<|user|>a\n<|end|>").size() == 4);  // nothing in front is taken
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
      test::Equals(
          "model.gguf: tokenizer.ggml.pre: expected one of gpt-2, default, smollm, qwen2, qwen35, llama-bpe, llama3, "
          "llama-v3, smaug-bpe, dbrx, tekken, gpt-4o, got \"new-model\""));
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
  spm.token_types[0] = 1;
  spm.tokens[0] = "no unknown piece";
  CHECK(refusal(spm) ==
        "model.gguf: tokenizer.ggml.token_type: expected a token of type 2, for what is unknown, got none");
  spm.unknown_token_id = -1;
  CHECK_THAT(refusal(spm), test::EndsWith("unknown_token_id: expected 0 <= id < 360, got -1"));
  spm = sentencepiece_metadata();
  spm.tokens[300] = spm.tokens[301];
  CHECK_THAT(refusal(spm), test::StartsWith("model.gguf: content: expected a SentencePiece model"));
}
