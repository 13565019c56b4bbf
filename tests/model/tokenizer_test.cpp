#include "kvtransfer/model/tokenizer.hpp"

#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::model_fixtures;
using kvtransfer::test::temporary_folder;

TEST_CASE("ids and texts equal those of transformers' LlamaTokenizer", "[model][tokenizer]") {
  const tokenizer tokens = tokenizer::open(model_fixtures() / "tokenizer");
  const nlohmann::json expected = read_json_object(model_fixtures() / "tokenizer" / "expected.json");
  CHECK(tokens.bos() == expected["bos"].get<std::int64_t>());
  CHECK(tokens.eos_ids() == std::vector<std::int64_t>{expected["eos"].get<std::int64_t>()});
  for (const nlohmann::json& one : expected["cases"]) {
    const auto text = one["text"].get<std::string>();
    CAPTURE(text);
    const auto ids = tokens.encode(text);
    CHECK(ids == one["ids"].get<std::vector<std::int64_t>>());
    CHECK(tokens.decode(ids) == one["decoded"].get<std::string>());
  }
}

TEST_CASE("a text that begins with spaces keeps them all", "[model][tokenizer]") {
  const tokenizer tokens = tokenizer::open(model_fixtures() / "tokenizer");
  for (const std::string text : {" a", "  a b  ", " "}) {
    CHECK(tokens.decode(tokens.encode(text)) == text);
  }
}

TEST_CASE("special tokens and ids beyond the pieces decode to nothing", "[model][tokenizer]") {
  const tokenizer tokens = tokenizer::open(model_fixtures() / "tokenizer");
  std::vector<std::int64_t> ids = tokens.encode("Paris is");
  ids.insert(ids.begin(), {*tokens.bos(), 0});
  ids.push_back(tokens.eos_ids().front());
  ids.push_back(tokens.vocab_size() + 5);
  CHECK(tokens.decode(ids) == "Paris is");
  const std::vector<std::int64_t> negative{-1};
  CHECK_THROWS_AS(tokens.decode(negative), value_error);
}

TEST_CASE("a special token's name in a text is only text", "[model][tokenizer]") {
  const tokenizer tokens = tokenizer::open(model_fixtures() / "tokenizer");
  for (const std::int64_t id : tokens.encode("a </s> b <s>")) {
    CHECK(id != tokens.eos_ids().front());
    CHECK(id != *tokens.bos());
  }
}

TEST_CASE("pieces are shown as the model writes them", "[model][tokenizer]") {
  const tokenizer tokens = tokenizer::open(model_fixtures() / "tokenizer");
  CHECK(tokens.piece(tokens.encode("Paris").front()).starts_with("▁"));
  CHECK_THROWS_AS(tokens.piece(tokens.vocab_size()), value_error);
  CHECK_THROWS_AS(tokens.piece(-1), value_error);
}

TEST_CASE("a missing tokenizer.model is refused by name, beside a tokenizer.json too", "[model][tokenizer]") {
  const temporary_folder folder;
  const auto complaint = [&] { return message_of<file_error>([&] { return tokenizer::open(folder.path()); }); };
  CHECK(complaint() == (folder.path() / "tokenizer.model").string() + ": file: expected an existing file, got none");
  folder.put("tokenizer.json", "{}");
  CHECK(complaint() == folder.path().string() +
                           ": tokenizer: expected tokenizer.model, a SentencePiece model, got tokenizer.json alone");
}

TEST_CASE("a corrupt tokenizer.model is refused by name", "[model][tokenizer]") {
  const temporary_folder folder;
  const std::string good = read_text(model_fixtures() / "tokenizer" / "tokenizer.model");
  for (const std::string& bad :
       {std::string(), std::string("garbage"), good.substr(0, good.size() / 2), good.substr(7)}) {
    const auto file = folder.put("tokenizer.model", bad);
    CHECK_THAT(message_of<file_error>([&] { return tokenizer::open(folder.path()); }),
               test::StartsWith(file.string() + ": content: expected a SentencePiece model"));
  }
}
