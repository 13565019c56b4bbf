#include "model/chat_template/chat_template.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "model/chat_template/template_error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::contains;
using kvtransfer::test::message_of;

namespace {

const std::filesystem::path fixtures = std::filesystem::path{KVT_SOURCE_DIR} / "tests/model/chat/fixtures";

std::string render(std::string_view text) {
  return detail::chat_template(text).render({{{"system", "s"}, {"user", "u"}}, "<s>", "</s>", {}});
}

std::string complaint(std::string_view text) {
  return message_of<detail::template_error>([&] { (void)render(text); });
}

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

}  // namespace

TEST_CASE("a template renders as Jinja2 renders it, and raises where Jinja2 does", "[model][chat]") {
  const auto file = fixtures / "jinja.json";
  const auto snippets = parse_json(read_text(file), file.string());
  CHECK(snippets.size() >= 50);
  for (const auto& each : snippets) {
    const auto text = each["template"].get<std::string>();
    CAPTURE(text);
    if (each["text"].is_null()) {
      CHECK_THROWS_AS(render(text), error);
    } else {
      CHECK(render(text) == each["text"].get<std::string>());
    }
  }
}

TEST_CASE("an exception that a template raises is told from what can't be read", "[model][chat]") {
  CHECK_THROWS_AS(render("{{ raise_exception('no') }}"), detail::template_refusal);
  CHECK_THROWS_AS(render("{{ nothing() }}"), detail::template_error);
}

TEST_CASE("what is not known is named, but only where rendering comes upon it", "[model][chat]") {
  CHECK(render("{% if tools %}{{ tools | tojson(indent=4) }}{{ strftime_now('%Y') }}{% endif %}a") == "a");
  CHECK_THAT(complaint("{{ messages | tojson }}"), contains("tojson"));
  CHECK_THAT(complaint("{{ strftime_now('%Y') }}"), contains("strftime_now"));
  CHECK_THAT(complaint("{{ 'a' is sparkling }}"), contains("sparkling"));
  CHECK_THAT(complaint("{{ 'a'.zfill(3) }}"), contains("zfill"));
  CHECK_THAT(complaint("{% include 'x' %}"), contains("include"));
  CHECK_THAT(complaint("{% raw %}{{ x }}{% endraw %}"), contains("raw"));
  CHECK_THAT(complaint("{{ messages }}"), contains("a list"));
  CHECK_THAT(complaint("{{ 'é' | upper }}"), contains("ASCII"));
}

TEST_CASE("the clock gives what it is told", "[model][chat]") {
  const detail::chat_template text("{{ strftime_now('%d %b') }}");
  CHECK(text.render({{}, "", "", "a day"}) == "a day");
}

TEST_CASE("a hostile template ends in an error", "[model][chat]") {
  CHECK_THAT(complaint(repeated("{% if true %}", 200)), contains("nested levels"));
  CHECK_THAT(complaint("{{ " + repeated("(", 200) + "1" + repeated(")", 200) + " }}"), contains("nested levels"));
  CHECK_THAT(complaint("{{ " + repeated("not ", 200) + "1 }}"), contains("nested levels"));
  CHECK_THAT(complaint("{{ 1" + repeated(" + 1", 1000) + " }}"), contains("tokens"));
  CHECK_THAT(complaint("{{ 1" + repeated(".a", 1000) + " }}"), contains("tokens"));
  CHECK_THAT(complaint("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), contains("macros"));
  CHECK_THAT(complaint(repeated("{% for i in range(9999) %}", 3) + repeated("{% endfor %}", 3)), contains("work"));
  CHECK_THAT(complaint("{% set n = namespace(s='ab') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}"),
             contains("bytes"));
  CHECK_THAT(complaint("{% set n = namespace(s=[1]) %}{% for i in range(90) %}{% set n.s = [n.s] %}{% endfor %}"),
             contains("nested"));
  CHECK_THAT(complaint("{% set n = namespace(s=[1]) %}{% for i in range(90) %}{% set n.s = n.s + n.s %}{% endfor %}"),
             contains("items"));
  const std::string doubled = "{% set n.s = [n.s, n.s] %}",
                    twice = "{% for i in range(40) %}" + doubled + "{% endfor %}";
  CHECK_THAT(complaint("{% set n = namespace(s=1) %}" + twice), contains("items"));
  CHECK_THAT(complaint("{% set n = namespace() %}{% set n.n = n %}"), contains("nested"));
  CHECK_THAT(complaint("{{ 9223372036854775807 + 1 }}"), contains("2^63"));
  CHECK_THAT(complaint("{{ 99999999999999999999 }}"), contains("2^63"));
}

TEST_CASE("no template's beginning and none with a byte changed does harm", "[model][chat]") {
  const auto file = std::filesystem::path{KVT_SOURCE_DIR} / "tests/model/chat/templates/mistral-v7-tekken.jinja";
  const std::string whole = read_text(file);
  int rendered = 0, refused = 0;
  const auto attempt = [&](const std::string& text) {
    try {
      (void)render(text);
      ++rendered;
    } catch (const error&) {
      ++refused;
    }
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    attempt(whole.substr(0, i));
    for (const char byte : {'{', '}', '%', '"', '\'', '(', '[', '-', '\0', '\xff', ' '}) {
      std::string changed = whole;
      changed[i] = byte;
      attempt(changed);
    }
  }
  CHECK(refused > rendered);
  CHECK(rendered > 0);
}
