#include "model/special_tokens.hpp"

#include <sentencepiece_processor.h>

#include <memory>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::read_special_tokens;
using kvtransfer::detail::special_tokens;
using kvtransfer::test::message_of;
using kvtransfer::test::model_fixtures;
using kvtransfer::test::temporary_folder;

namespace {

using id_list = std::vector<std::int64_t>;

/// The fixture's SentencePiece model: <unk> 0, <s> 1, </s> 2.
const sentencepiece::SentencePieceProcessor& fixture_pieces() {
  static const auto pieces = [] {
    auto loaded = std::make_unique<sentencepiece::SentencePieceProcessor>();
    loaded->LoadOrDie((model_fixtures() / "tokenizer" / "tokenizer.model").string());
    return loaded;
  }();
  return *pieces;
}

}  // namespace

TEST_CASE("without any file the SentencePiece model names the special tokens", "[model][special_tokens]") {
  const temporary_folder folder;
  const special_tokens special = read_special_tokens(folder.path(), fixture_pieces());
  CHECK(special.bos == 1);
  CHECK(special.eos == id_list{2});
}

TEST_CASE("config.json goes before the model, tokenizer_config.json before both", "[model][special_tokens]") {
  const temporary_folder folder;
  folder.put("config.json", R"({"bos_token_id": 7, "eos_token_id": [8, 9]})");
  special_tokens special = read_special_tokens(folder.path(), fixture_pieces());
  CHECK(special.bos == 7);
  CHECK(special.eos == id_list{8, 9});
  folder.put("tokenizer_config.json", R"({"bos_token": "</s>", "eos_token": {"content": "<s>", "lstrip": false}})");
  special = read_special_tokens(folder.path(), fixture_pieces());
  CHECK(special.bos == 2);
  CHECK(special.eos == id_list{1});
}

TEST_CASE("a null says that there is no such token", "[model][special_tokens]") {
  const temporary_folder folder;
  folder.put("config.json", R"({"bos_token_id": 7, "eos_token_id": null})");
  folder.put("tokenizer_config.json", R"({"bos_token": null})");
  const special_tokens special = read_special_tokens(folder.path(), fixture_pieces());
  CHECK_FALSE(special.bos);
  CHECK(special.eos.empty());
}

TEST_CASE("a token that was added after training is found by its text", "[model][special_tokens]") {
  const temporary_folder folder;
  folder.put("tokenizer_config.json",
             R"({"eos_token": "<|im_end|>",)"
             R"( "added_tokens_decoder": {"360": {"content": "<|im_start|>"}, "361": {"content": "<|im_end|>"}}})");
  CHECK(read_special_tokens(folder.path(), fixture_pieces()).eos == id_list{361});
}

TEST_CASE("a special token without an id, or of another type, is refused by file and key", "[model][special_tokens]") {
  const temporary_folder folder;
  const auto complaint = [&](std::string_view content) {
    folder.put("tokenizer_config.json", content);
    return message_of<file_error>([&] { return read_special_tokens(folder.path(), fixture_pieces()); });
  };
  CHECK_THAT(complaint(R"({"eos_token": "<end>"})"),
             test::EndsWith("tokenizer_config.json: eos_token: expected a piece of tokenizer.model or of "
                            "added_tokens_decoder, got \"<end>\""));
  CHECK_THAT(complaint(R"({"bos_token": 1})"), test::EndsWith("bos_token: expected a token's text, got 1"));
  CHECK_THAT(complaint(R"({"eos_token": "<end>", "added_tokens_decoder": {"x": {"content": "<end>"}, "3": 4}})"),
             test::contains("eos_token: expected"));
}
