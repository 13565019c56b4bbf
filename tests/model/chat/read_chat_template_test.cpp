#include "kvtransfer/model/read_chat_template.hpp"

#include <string>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::contains;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

TEST_CASE("a folder without a chat template has none", "[model][chat]") {
  const temporary_folder folder;
  CHECK_FALSE(read_chat_template(folder.path()));
  folder.put("tokenizer_config.json", R"({"chat_template": null})");
  CHECK_FALSE(read_chat_template(folder.path()));
}

TEST_CASE("a chat template is read from the tokenizer's configuration, or the default of a list", "[model][chat]") {
  const temporary_folder folder;
  const auto file = folder.put("tokenizer_config.json", R"({"chat_template": "{{ 1 }}"})");
  CHECK(read_chat_template(folder.path())->text == "{{ 1 }}");
  CHECK(read_chat_template(folder.path())->file == file.string());
  folder.put("tokenizer_config.json",
             R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  CHECK(read_chat_template(folder.path())->text == "d");
}

TEST_CASE("chat_template.jinja comes before the tokenizer's configuration", "[model][chat]") {
  const temporary_folder folder;
  folder.put("tokenizer_config.json", R"({"chat_template": "old"})");
  folder.put("chat_template.jinja", "new\n");
  CHECK(read_chat_template(folder.path())->text == "new\n");
}

TEST_CASE("a chat template of another type is refused by file and field", "[model][chat]") {
  const temporary_folder folder;
  const auto message = [&](const char* content) {
    folder.put("tokenizer_config.json", content);
    return message_of<file_error>([&] { (void)read_chat_template(folder.path()); });
  };
  CHECK_THAT(message(R"({"chat_template": 3})"), contains("tokenizer_config.json: chat_template: expected"));
  CHECK_THAT(message(R"({"chat_template": []})"), contains("chat_template"));
  CHECK_THAT(message(R"({"chat_template": [{"name": "default"}]})"), contains("chat_template"));
  CHECK_THAT(message(R"({"chat_template": [{"name": "rag", "template": "x"}]})"), contains(R"(got ["rag"])"));
}
