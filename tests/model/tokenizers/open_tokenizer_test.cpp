#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::id_list;
using kvtransfer::test::temporary_folder;

namespace {

constexpr const char* small_json =
    R"({"model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2}, "merges": []}, "added_tokens": [{"id": 1, "content": "<s>",)"
    R"( "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]})";

}  // namespace

TEST_CASE("tokenizer.json goes before tokenizer.model, and neither is refused", "[model][tokenizers]") {
  const temporary_folder folder;
  const auto complaint = [&] {
    return test::message_of<file_error>([&] { static_cast<void>(open_tokenizer(folder.path())); });
  };
  CHECK(complaint() == folder.path().string() + ": tokenizer: expected tokenizer.json or tokenizer.model, got neither");
  test::put_sentencepiece(folder, "{}");
  CHECK(open_tokenizer(folder.path()).vocab_size() > 300);
  folder.put("tokenizer.json", small_json);
  CHECK(open_tokenizer(folder.path()).vocab_size() == 3);
}

TEST_CASE("files are those that decide about ids, the vocabulary first", "[model][tokenizers]") {
  const temporary_folder folder;
  test::put_sentencepiece(folder, "{}");
  folder.put("special_tokens_map.json", "{}");
  folder.put("config.json", "{}");
  std::vector<std::string> names;
  const any_tokenizer tokens = open_tokenizer(folder.path());
  for (const auto& file : tokens.files()) {
    names.push_back(file.filename().string());
  }
  CHECK(names == std::vector<std::string>{"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"});
}

TEST_CASE("BOS and EOS come from the first file that says anything of them", "[model][tokenizers]") {
  const temporary_folder folder;
  folder.put("tokenizer.json", small_json);
  const auto around = [&] { return open_tokenizer(folder.path()).boundaries(); };
  CHECK(around() == boundary_tokens{});
  folder.put("config.json", R"({"bos_token_id": 0, "eos_token_id": [2, 0]})");
  CHECK(around().bos == 0);
  CHECK(around().eos == id_list{2, 0});
  CHECK(around().before.empty());
  folder.put("special_tokens_map.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})");
  CHECK(around().bos == 1);
  CHECK(around().eos == id_list{2});
  folder.put("tokenizer_config.json",
             R"({"bos_token": null, "eos_token": "a", "added_tokens_decoder": {"1": {"content": "<s>"}}})");
  CHECK_FALSE(around().bos);
  CHECK(around().eos == id_list{0});
  folder.put("tokenizer_config.json", R"({"bos_token": null, "eos_token": "a"})");  // of older date: the map goes first
  CHECK(around().bos == 1);
}

TEST_CASE("add_bos_token and add_eos_token decide where they are written", "[model][tokenizers]") {
  const temporary_folder folder;
  folder.put("tokenizer.json", small_json);
  folder.put("tokenizer_config.json",
             R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true})");
  CHECK(encode_whole(open_tokenizer(folder.path()), "a") == id_list{1, 0, 2});
  test::put_sentencepiece(folder, R"({"bos_token": "<s>", "add_bos_token": false})");
  std::filesystem::remove(folder.path() / "tokenizer.json");
  CHECK(open_tokenizer(folder.path()).boundaries().bos == 1);
  CHECK(open_tokenizer(folder.path()).boundaries().before.empty());
  test::put_sentencepiece(folder, "{}");
  CHECK(open_tokenizer(folder.path()).boundaries().before == id_list{1});
}

TEST_CASE("added_tokens.json adds to a SentencePiece vocabulary beyond its pieces", "[model][tokenizers]") {
  const temporary_folder folder;
  test::put_sentencepiece(folder, R"({"additional_special_tokens": ["<|im_start|>"]})");
  const auto size = open_tokenizer(folder.path()).vocab_size();
  folder.put("added_tokens.json", nlohmann::json{{"<|im_start|>", size}, {"Seattle", size + 1}}.dump());
  const any_tokenizer tokens = open_tokenizer(folder.path());
  CHECK(tokens.vocab_size() == size + 2);
  CHECK(tokens.decode(id_list{size, size + 1}) == "Seattle");
  CHECK(tokens.token_text(size) == "<|im_start|>");
  CHECK(tokens.encode("Seattle") == id_list{size + 1});
  CHECK(tokens.encode_markup("<|im_start|>") == id_list{size});
  CHECK(tokens.encode("<|im_start|>") != id_list{size});
}

TEST_CASE("a name without a token, and a token with two ids, are refused", "[model][tokenizers]") {
  const temporary_folder folder;
  const auto complaint = [&](std::string_view settings) {
    test::put_sentencepiece(folder, settings);
    return test::message_of<file_error>([&] { static_cast<void>(open_tokenizer(folder.path())); });
  };
  CHECK_THAT(complaint(R"({"eos_token": "<end>"})"),
             test::EndsWith("eos_token: expected a token of the vocabulary or of added_tokens_decoder, got \"<end>\""));
  CHECK_THAT(complaint(R"({"bos_token": 1})"), test::EndsWith("bos_token: expected a token's text, got 1"));
  CHECK_THAT(complaint(R"({"added_tokens_decoder": {"7": {"content": "<s>"}}})"),
             test::contains("added token \"<s>\""));
  CHECK_THAT(complaint(R"({"added_tokens_decoder": {"1": {"content": "<t>"}}})"),
             test::contains("added token \"<t>\""));
  CHECK_THAT(complaint(R"({"added_tokens_decoder": {"x": {"content": "<t>"}}})"), test::contains("ids for keys"));
  CHECK_THAT(complaint(R"({"add_bos_token": "yes"})"),
             test::EndsWith("add_bos_token: expected true or false, got \"yes\""));
  folder.put("tokenizer.json", small_json);
  CHECK_THAT(complaint(R"({"added_tokens_decoder": {"5": {"content": "a"}}})"), test::contains("added token \"a\""));
}

TEST_CASE("a corrupt tokenizer.model is refused by name", "[model][tokenizers]") {
  const temporary_folder folder;
  const std::string good = test::small_sentencepiece_model();
  for (const std::string& bad :
       {std::string(), std::string("garbage"), good.substr(0, good.size() / 2), good.substr(7)}) {
    const auto file = folder.put("tokenizer.model", bad);
    CHECK_THAT(test::message_of<file_error>([&] { static_cast<void>(open_tokenizer(folder.path())); }),
               test::StartsWith(file.string() + ": content: expected a SentencePiece model"));
  }
}

TEST_CASE("a Git LFS pointer in the place of a tokenizer's file is called that", "[model][tokenizers]") {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const temporary_folder folder;
    const auto file = folder.put(name, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n");
    CHECK_THAT(test::message_of<file_error>([&] { static_cast<void>(open_tokenizer(folder.path())); }),
               test::StartsWith(file.string() + ": content: expected the file itself, got a Git LFS pointer"));
  }
}

TEST_CASE("a tokenizer.model gives the ids and texts of transformers' LlamaTokenizer", "[model][tokenizers]") {
  const temporary_folder folder;
  test::put_sentencepiece(folder, R"({"bos_token": "<s>", "eos_token": "</s>"})");
  const any_tokenizer tokens = open_tokenizer(folder.path());
  const nlohmann::json expected = read_json_object(KVT_SOURCE_DIR "/tests/model/fixtures/tokenizer/expected.json");
  CHECK(tokens.boundaries().before == id_list{expected["bos"].get<std::int64_t>()});
  CHECK(tokens.boundaries().eos == id_list{expected["eos"].get<std::int64_t>()});
  for (const nlohmann::json& one : expected["cases"]) {
    const auto text = one["text"].get<std::string>();
    CAPTURE(text);
    const id_list ids = tokens.encode(text);
    CHECK(ids == one["ids"].get<id_list>());
    CHECK(tokens.decode(ids) == one["decoded"].get<std::string>());
  }
  for (const std::string text : {" a", "  a b  ", " "}) {
    CHECK(tokens.decode(tokens.encode(text)) == text);
  }
}

TEST_CASE("SentencePiece's special tokens and ids beyond its pieces decode to nothing", "[model][tokenizers]") {
  const temporary_folder folder;
  test::put_sentencepiece(folder, "{}");
  const any_tokenizer tokens = open_tokenizer(folder.path());
  id_list ids = tokens.encode("Paris is");
  CHECK(tokens.token_text(ids.front()).starts_with("▁"));
  ids.insert(ids.begin(), {1, 0});
  ids.insert(ids.end(), {2, tokens.vocab_size() + 5});
  CHECK(tokens.decode(ids) == "Paris is");
  CHECK_THROWS_AS(tokens.decode(id_list{-1}), value_error);
  CHECK_THROWS_AS(tokens.token_text(-1), value_error);
  CHECK_THROWS_AS(tokens.token_text(tokens.vocab_size()), value_error);
}
