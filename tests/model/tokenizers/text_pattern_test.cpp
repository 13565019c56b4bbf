// Regular expressions beyond what vocabularies' own need: what is refused, and what is stopped.

#include "model/tokenizers/text_pattern.hpp"

#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/oniguruma_syntax.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("what PCRE2 reads otherwise is written out", "[model][tokenizers]") {
  const auto rewritten = [](std::string_view pattern) { return pcre2_of_oniguruma(pattern, "file"); };
  CHECK(rewritten(R"(\s+(?!\S)|[^\s\p{L}])") == R"(\p{White_Space}+(?!\P{White_Space})|[^\p{White_Space}\p{L}])");
  CHECK(rewritten(R"(\p{Han}\P{^Lu})") == R"(\p{sc:Han}\p{Lu})");
  CHECK(rewritten("a{1,3}+b{,2}c{x}(ab){2}?") == "(?:a{1,3})+b{0,2}c\\{x}(?:(ab){2})?");
  CHECK(rewritten("a{1,3}?b++c*?") == "a{1,3}?b++c*?");
  CHECK(rewritten("\\u00e9\\x41\\x{1F600}\\v") == "\\x{00e9}\\x{41}\\x{1F600}\\x0B");
}

TEST_CASE("constructs that are not known are refused by name", "[model][tokenizers]") {
  for (const char* pattern :
       {R"(\h)", R"(\b)",   R"(\R)", R"((?<name>a))", R"((?m:a))", R"(a(?i)b)", "(*UTF)a", "[a[bc]]", "[a&&b]",
        "[]a]",  R"([\W])", R"(\1)", R"(\k<a>)",      R"(\xE9)",   R"(\u12)",   R"(\p{})", R"(\p{L)", "[a",
        "\\",    "(?i:ss)", "(?i)é", "(?i:F[x]|fI)",  "(?#a)",     "(?C1)a",    R"(\K)",   R"(\C)"}) {
    CAPTURE(pattern);
    CHECK_THAT(test::message_of<file_error>([&] { pcre2_of_oniguruma(pattern, "file: field"); }),
               test::StartsWith("file: field: regex: expected constructs that are known here, got ") &&
                   test::contains(" at byte "));
  }
  for (const char* pattern : {"(a", "a)", "*a", R"(\p{NoSuchScript})", "(?<=a+)b"}) {
    CAPTURE(pattern);
    CHECK_THAT(test::message_of<file_error>([&] { text_pattern::regex(pattern, "file: field"); }),
               test::StartsWith("file: field: regex: expected a regular expression, got one with"));
  }
  CHECK_THROWS_AS(text_pattern::regex(std::string(1 << 15, 'a'), "file"), file_error);
  CHECK_THROWS_AS(text_pattern::regex("((a{1,1000}){1,1000}){1,1000}", "file"), file_error);
}

TEST_CASE("what an expression holds is quoted in one short line", "[model][tokenizers]") {
  const auto refusal = [](const std::string& pattern) {
    return test::message_of<file_error>([&] { pcre2_of_oniguruma(pattern, "file"); });
  };
  CHECK(refusal("a\\p{N\n\"") == R"(file: regex: expected constructs that are known here, got "\\p{" at byte 1)");
  CHECK(refusal("a\\p{N\n\"}") ==
        R"(file: regex: expected constructs that are known here, got "\\p{N\n\"}" at byte 1)");
  CHECK(refusal("\\p{" + std::string(1000, '-') + "}").size() < 200);
  CHECK(refusal("\\\n").empty());  // a line break, escaped, is itself
}

TEST_CASE("an expression that would take for ever is stopped", "[model][tokenizers]") {
  const std::string text = std::string(40, 'a') + "!bc";  // what the expression ends with is there, but not behind
  for (const char* bomb : {"(a+)+b", "(?:a|aa)+b", "(a*)*c"}) {
    CAPTURE(bomb);
    const text_pattern pattern = text_pattern::regex(bomb, "file: field");
    CHECK_THAT(test::message_of<file_error>([&] { pattern.find_all(text); }),
               test::StartsWith("file: field: regex: expected a match within"));
  }
}

TEST_CASE("empty matches stand between characters, and none right behind a match", "[model][tokenizers]") {
  using ranges = std::vector<text_range>;
  CHECK(text_pattern::regex("x*", "file").find_all("axé") == ranges{{0, 0}, {1, 2}, {4, 4}});
  CHECK(text_pattern::literal("").find_all("aé") == ranges{{0, 0}, {1, 1}, {3, 3}});
  CHECK(text_pattern::literal("").find_all("").empty());
}
