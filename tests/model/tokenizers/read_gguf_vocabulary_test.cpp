#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/tokenizers/gguf_vocabulary.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"
#include "model/tokenizers/fixtures.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_bytes;
using kvtransfer::test::id_list;
using kvtransfer::test::raw;
using kvtransfer::test::raw_text;
using kvtransfer::test::temporary_folder;

namespace {

constexpr std::uint32_t i32 = 5, f32 = 6, text = 8;

/// A byte-level vocabulary of five tokens.
gguf_bytes five_tokens() {
  gguf_bytes file;
  file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "smollm");
  file.array("tokenizer.ggml.tokens", text, 5,
             raw_text("<s>") + raw_text("a") + raw_text("b") + raw_text("ab") + raw_text("</s>"));
  file.array("tokenizer.ggml.token_type", i32, 5, raw(3) + raw(1) + raw(1) + raw(1) + raw(3));
  file.array("tokenizer.ggml.merges", text, 1, raw_text("a b"));
  file.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 4);
  return file.u32("tokenizer.ggml.eot_token_id", 4);
}

gguf_vocabulary read(const temporary_folder& folder, const gguf_bytes& file) {
  const auto path = folder.put("x.gguf", file.bytes());
  return read_gguf_vocabulary(gguf_file::open(path).metadata());
}

}  // namespace

TEST_CASE("a GGUF file's metadata names its vocabulary, and a missing key says nothing", "[model][tokenizers]") {
  const temporary_folder folder;
  const gguf_vocabulary bare = read(folder, five_tokens());
  CHECK(bare.file == folder.path() / "x.gguf");
  CHECK(bare.model == "gpt2");
  CHECK(bare.pre == "smollm");
  CHECK(bare.tokens == std::vector<std::string>{"<s>", "a", "b", "ab", "</s>"});
  CHECK(bare.merges == std::vector<std::string>{"a b"});
  CHECK(bare.token_types == std::vector<std::int32_t>{3, 1, 1, 1, 3});
  CHECK(bare.scores.empty());
  CHECK(bare.bos_token_id == 0);
  CHECK(bare.eos_token_id == 4);
  CHECK(bare.more_eos_ids.empty());  // the end of a turn is the end of the text
  CHECK_FALSE(bare.add_bos_token.has_value());
  CHECK_FALSE(bare.add_space_prefix.has_value());
  gguf_bytes more = five_tokens();
  more.u32("tokenizer.ggml.eom_token_id", 3).boolean("tokenizer.ggml.add_bos_token", true);
  more.boolean("tokenizer.ggml.add_eos_token", false).boolean("tokenizer.ggml.add_space_prefix", false);
  more.array("tokenizer.ggml.scores", f32, 1, raw(0.5F));
  const gguf_vocabulary full = read(folder, more);
  CHECK(full.more_eos_ids == id_list{3});
  CHECK(full.add_bos_token == true);
  CHECK(full.add_eos_token == false);
  CHECK(full.add_space_prefix == false);
  CHECK(full.scores == std::vector<float>{0.5F});
}

TEST_CASE("a GGUF file's further ends are its keys', or the end of a turn by its text", "[model][tokenizers]") {
  const temporary_folder folder;
  gguf_bytes chat;
  chat.array("tokenizer.ggml.tokens", text, 3, raw_text("<eos>") + raw_text("a") + raw_text("<end_of_turn>"));
  chat.u32("tokenizer.ggml.eos_token_id", 0);
  CHECK(read(folder, chat).more_eos_ids == id_list{2});
  CHECK(read(folder, chat.u32("tokenizer.ggml.eot_token_id", 1)).more_eos_ids == id_list{1});
}

TEST_CASE("a GGUF file, or a folder that holds one, opens its tokenizer", "[model][tokenizers]") {
  const temporary_folder folder;
  const auto path = folder.put("x.gguf", five_tokens().bytes());
  for (const auto& opened : {path, folder.path()}) {
    const any_tokenizer tokens = open_tokenizer(opened);
    CHECK(tokens.encode("ab") == id_list{3});
    CHECK(tokens.boundaries().eos == id_list{4});
    CHECK(tokens.files() == std::vector<std::filesystem::path>{path});
  }
}

TEST_CASE("metadata of another type, or types of tokens that are none, are refused by key", "[model][tokenizers]") {
  const temporary_folder folder;
  const auto complaint = [&](gguf_bytes file) {
    return test::message_of<file_error>([&] { static_cast<void>(read(folder, file)); });
  };
  CHECK_THAT(complaint(gguf_bytes().u32("tokenizer.ggml.model", 3)), test::contains("tokenizer.ggml.model"));
  CHECK_THAT(complaint(gguf_bytes().array("tokenizer.ggml.tokens", i32, 1, raw(1))),
             test::contains("tokenizer.ggml.tokens"));
  CHECK_THAT(complaint(gguf_bytes().array("tokenizer.ggml.token_type", 10, 1, raw(std::uint64_t{1} << 32))),
             test::contains("tokenizer.ggml.token_type"));
}
