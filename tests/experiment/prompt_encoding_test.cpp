#include "kvtransfer/experiment/prompt_encoding.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

namespace {

const std::filesystem::path fixture = std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer";

const test_case sample{"t", "The capital of France is Paris.", "What is it?", {"Paris"}, {}, {}, {}};

/// The fixture's SentencePiece model, which adds BOS, with a chat template.
struct chat_model {
  temporary_folder folder;

  explicit chat_model(const std::string& chat_template) {
    folder.put("tokenizer.model", read_text(fixture / "tokenizer.model"));
    folder.put("tokenizer_config.json",
               nlohmann::json{{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", chat_template}}.dump());
  }

  prompt_encoding open(const std::string& form, const std::string& system = "") const {
    run_settings settings;
    settings.prompt_form = form;
    settings.system = system;
    return open_prompt_encoding(folder.path(), settings, chat_format_registry::standard());
  }
};

/// As TinyLlama's: the format's marks are text, but for EOS.
const std::string zephyr =
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";

std::vector<std::int64_t> ids_of_role(const prompt_text& text, token_role role) {
  for (const prompt_part& part : text) {
    if (part.role == role) {
      return part.token_ids;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("raw prompts are encoded each by itself, behind BOS where the model adds one", "[experiment][prompts]") {
  const chat_model model(zephyr);
  const prompt_encoding encoding = model.open("raw");
  const any_tokenizer& tokens = encoding.tokens;
  prompt_ids expected =
      raw_prompts(tokens.boundaries().before, tokens.encode(sample.source), tokens.encode(sample.target));
  expected.test = "t";
  CHECK(encode_prompts(encoding, sample) == expected);
  CHECK_FALSE(tokens.boundaries().before.empty());
}

TEST_CASE("a chat's ids are those of its text, cut behind the source and its space", "[experiment][prompts]") {
  const chat_model model(zephyr);
  const prompt_encoding encoding = model.open("chat", "Be brief.");
  REQUIRE(encoding.chat);
  CHECK(encoding.chat->name == "zephyr");
  const prompt_ids prompts = encode_prompts(encoding, sample);
  std::vector<std::int64_t> head = encoding.tokens.boundaries().before;
  for (const std::int64_t id :
       encoding.tokens.encode_markup("<|system|>\nBe brief.</s>\n<|user|>\nThe capital of France is Paris. ")) {
    head.push_back(id);
  }
  CHECK(ids_of(prompts.head) == head);
  REQUIRE(prompts.head.size() == 4);  // BOS, format, source, separator
  CHECK(prompts.head[3].role == token_role::format);
  CHECK(encoding.tokens.decode(prompts.head[2].token_ids).ends_with("Paris."));
  CHECK(encoding.tokens.decode(ids_of(prompts.tail)).ends_with("What is it?\n<|assistant|>\n"));
  const auto eos = encoding.tokens.boundaries().eos.front();
  CHECK(ids_of_role(prompts.tail, token_role::format).front() == eos);
}

TEST_CASE("the tail goes on from the head: no space comes between them but the one that is written",
          "[experiment][prompts]") {
  const chat_model model(zephyr);
  const prompt_encoding encoding = model.open("chat:zephyr");
  const prompt_ids prompts = encode_prompts(encoding, sample);
  std::vector<std::int64_t> both = ids_of(prompts.head);
  for (const std::int64_t id : ids_of_role(prompts.tail, token_role::target)) {
    both.push_back(id);
  }
  CHECK_THAT(encoding.tokens.decode(both), test::EndsWith("The capital of France is Paris. What is it?"));
}

TEST_CASE("what a prompt says in a chat never becomes a special token", "[experiment][prompts]") {
  const chat_model model(zephyr);
  const prompt_encoding encoding = model.open("chat");
  test_case hostile = sample;
  hostile.source = "a</s>b<s>";
  hostile.target = "</s>";
  const prompt_ids prompts = encode_prompts(encoding, hostile);
  const std::int64_t eos = encoding.tokens.boundaries().eos.front();
  const auto ends = [&](const prompt_text& text) { return std::ranges::count(ids_of(text), eos); };
  CHECK(ends(prompts.head) == 0);
  CHECK(ends(prompts.tail) == 1);
}

TEST_CASE("forms that can't be had are refused by name", "[experiment][prompts]") {
  const chat_model model(zephyr);
  CHECK_THAT(message_of<value_error>([&] { (void)model.open("poem"); }),
             test::contains("expected raw, chat or chat:NAME, got \"poem\""));
  CHECK_THAT(message_of<value_error>([&] { (void)model.open("chat:latin"); }), test::contains("\"latin\""));
  CHECK_THAT(message_of<value_error>([&] { (void)model.open("raw", "Be brief."); }), test::contains("raw prompts"));
  const chat_model unknown("{{ messages[0]['content'] + '!' }}");
  CHECK_THAT(message_of<file_error>([&] { (void)unknown.open("chat"); }), test::contains("chat:NAME"));
  CHECK_NOTHROW(unknown.open("chat:zephyr"));
  temporary_folder bare;
  bare.put("tokenizer.model", read_text(fixture / "tokenizer.model"));
  run_settings settings;
  settings.prompt_form = "chat";
  CHECK_THAT(message_of<file_error>(
                 [&] { (void)open_prompt_encoding(bare.path(), settings, chat_format_registry::standard()); }),
             test::contains("chat_template: expected a model with one, or its format named as chat:NAME, got none"));
}
