#include "kvtransfer/model/chat_format_registry.hpp"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::contains;
using kvtransfer::test::message_of;

namespace {

const std::filesystem::path chat_tests = std::filesystem::path{KVT_SOURCE_DIR} / "tests/model/chat";
const special_token_texts sentencepiece{"<s>", "</s>"};

std::string placement_name(system_placement placement) {
  return placement == system_placement::own_turn       ? "own_turn"
         : placement == system_placement::in_user_turn ? "in_user_turn"
                                                       : "refused";
}

std::string strip_name(user_strip strip) {
  return strip == user_strip::nothing ? "nothing" : strip == user_strip::text ? "text" : "content";
}

void check_recognized(const std::filesystem::path& file, const nlohmann::json& fixture) {
  CAPTURE(file.string());
  const special_token_texts tokens{fixture["bos"], fixture["eos"]};
  const chat_format found = chat_format_registry::standard().recognize(read_text(file), tokens, file.string());
  CHECK(found.name == fixture["format"].get<std::string>());
  CHECK(placement_name(found.placement) == fixture["placement"].get<std::string>());
  CHECK(strip_name(found.user) == fixture["user"].get<std::string>());
  CHECK(found.strips_system == fixture["strips_system"].get<bool>());
  CHECK(found.prints_bos == fixture["prints_bos"].get<bool>());
}

std::string complaint(const std::string& text) {
  return message_of<file_error>(
      [&] { (void)chat_format_registry::standard().recognize(text, sentencepiece, "some.json"); });
}

const std::string chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\\n' }}";

std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("a format is recognised from a template, with what the template strips and prints", "[model][chat]") {
  const auto file = chat_tests / "fixtures/renderings.json";
  int recognized = 0;
  for (const auto& fixture : parse_json(read_text(file), file.string())) {
    if (fixture["origin"] == "templates") {
      check_recognized(chat_tests / "templates" / (fixture["name"].get<std::string>() + ".jinja"), fixture);
      ++recognized;
    }
  }
  CHECK(recognized >= 19);
}

TEST_CASE("the models' own templates are recognised", "[model][chat]") {
  // They are not ours to keep: make_fixtures.py says where to have them from.
  const char* folder = std::getenv("KVTRANSFER_CHAT_TEMPLATES");
  if (folder == nullptr) {
    WARN("skipped: KVTRANSFER_CHAT_TEMPLATES names no folder with trl's chat templates");
    return;
  }
  const auto file = chat_tests / "fixtures/renderings.json";
  for (const auto& fixture : parse_json(read_text(file), file.string())) {
    if (fixture["origin"] != "templates") {
      check_recognized(std::filesystem::path(folder) / (fixture["name"].get<std::string>() + ".jinja"), fixture);
    }
  }
}

TEST_CASE("a template with a word of its own is not taken for a known one", "[model][chat]") {
  CHECK(chat_format_registry::standard().recognize(chatml, sentencepiece, "f").name == "chatml");
  CHECK_THAT(complaint(with(chatml, "m.content +", "m.content + ' /no_think' +")), contains("got another one"));
  CHECK_THAT(complaint(with(chatml, "assistant\\n", "assistant\\nSure! ")), contains("got another one"));
  CHECK_THAT(complaint(with(chatml, "m.content", "m.content | upper")), contains("ASCII"));
  CHECK_THAT(complaint(with(chatml, "m.content", "m.content.replace('\\n\\n', '\\n')")), contains("got another one"));
  CHECK_THAT(complaint(with(chatml, "<|im_end|>\\n", "<|im_end|>")), contains("got another one"));
}

TEST_CASE("a template whose system turn is no format's gives a format that refuses a system text", "[model][chat]") {
  const std::string wordy =
      with(chatml, "m.content +", "('Instructions: ' if m.role == 'system' else '') + m.content +");
  const chat_format found = chat_format_registry::standard().recognize(wordy, sentencepiece, "f");
  CHECK(found.name == "chatml");
  CHECK(found.placement == system_placement::refused);
}

TEST_CASE("a BOS that the template prints twice is no format's", "[model][chat]") {
  CHECK(chat_format_registry::standard().recognize("{{ bos_token }}" + chatml, sentencepiece, "f").prints_bos);
  CHECK_THAT(complaint("{{ bos_token }}{{ bos_token }}" + chatml), contains("got another one"));
}

TEST_CASE("today's date in front of a prompt is no format's, in a default system turn it is left out",
          "[model][chat]") {
  CHECK_THAT(complaint(with(chatml, "m.content", "strftime_now('%Y') + m.content")), contains("got another one"));
  const std::string dated =
      "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nToday is ' + strftime_now('%Y') + '<|im_end|>\\n' "
      "}}"
      "{% endif %}" +
      chatml;
  const chat_format found = chat_format_registry::standard().recognize(dated, sentencepiece, "f");
  CHECK(found.name == "chatml");
  CHECK(found.placement == system_placement::own_turn);
}

TEST_CASE(
    "a default system turn that a template leaves open is left out whole, a closed one with words behind it is not",
    "[model][chat]") {
  // SmolLM3's: its system turn, whoever's text is in it, ends where the user's begins.
  const std::string open =
      "{{ '<|im_start|>system\n## Metadata\n\nToday Date: ' ~ strftime_now('%d %B %Y') ~ '\n\n' }}"
      "{% if messages[0].role == 'system' %}{{ messages[0].content + '\n\n' }}{% else %}{{ 'Be kind.\n\n' }}"
      "{% endif %}{% for m in messages if m.role == 'user' %}"
      "{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}{% endfor %}{{ '<|im_start|>assistant\n' }}";
  const chat_format found = chat_format_registry::standard().recognize(open, sentencepiece, "f");
  CHECK(found.name == "chatml");
  CHECK(found.placement == system_placement::refused);
  CHECK_THAT(complaint(with(open, "Be kind.", "Be kind.<|im_end|>\n")), contains("got another one"));
}

TEST_CASE("an unknown template is refused in one line with the formats that can be named", "[model][chat]") {
  const std::string unknown = complaint("{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}");
  CHECK_THAT(unknown, contains("some.json: chat_template: expected the template of a known chat format"));
  CHECK_THAT(unknown, contains("chat:NAME"));
  for (const std::string& name : chat_format_registry::standard().names()) {
    CHECK_THAT(unknown, contains(name));
  }
  CHECK_THAT(complaint("{{ raise_exception('one\ntwo\x1b[31m') }}"),
             contains(R"(refuses a user's message: one\ntwo\u001b[31m)"));
  CHECK_THAT(complaint("{{ messages | tojson }}"), contains("tojson"));
  CHECK_THAT(complaint("{% if"), contains("does not end"));
  CHECK(complaint("{{ 'a\n' \n 'b' c }}").find('\n') == std::string::npos);
}

TEST_CASE("a format is found by its name, with the model's EOS in it", "[model][chat]") {
  const auto registry = chat_format_registry::standard();
  CHECK(registry.find("zephyr", {"", "<|endoftext|>"}).after_user == "<|endoftext|>\n");
  CHECK_THAT(message_of<value_error>([&] { (void)registry.find("vicuna", sentencepiece); }), contains("zephyr"));
  CHECK_THAT(message_of<value_error>([&] { (void)registry.find("zephyr", {"<s>", ""}); }), contains("EOS"));
  CHECK_THAT(message_of<value_error>([&] { (void)registry.find("llama3", {"", "</s>"}); }), contains("BOS"));
}

TEST_CASE("a program adds a format of its own", "[model][chat]") {
  auto registry = chat_format_registry::standard();
  chat_format own{"plain", "Rules: ", "\n", "Q: ", "\n", "A:"};
  registry.add(own);
  CHECK_THROWS_AS(registry.add(own), value_error);
  const std::string text =
      "{% for m in messages %}{{ ('Rules: ' if m.role == 'system' else 'Q: ') + m.content + '\\n' }}{% endfor %}A:";
  CHECK(registry.recognize(text, sentencepiece, "f").name == "plain");
}
