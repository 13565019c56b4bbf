#include "kvtransfer/core/error.hpp"

#include <string>
#include <string_view>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;

TEST_CASE("fail throws the asked type with one line in the library's form", "[core][error]") {
  CHECK(message_of<shape_error>([] { fail<shape_error>("shift", "keys", "[1, 4]", "[2, 4]"); }) ==
        "shift: keys: expected [1, 4], got [2, 4]");
}

TEST_CASE("every error can be caught as kvtransfer::error", "[core][error]") {
  CHECK_THROWS_AS(fail<shape_error>("a", "b", "c", "d"), error);
  CHECK_THROWS_AS(fail<frame_error>("a", "b", "c", "d"), error);
  CHECK_THROWS_AS(fail<device_error>("a", "b", "c", "d"), error);
  CHECK_THROWS_AS(fail<file_error>("a", "b", "c", "d"), error);
  CHECK_THROWS_AS(fail<value_error>("a", "b", "c", "d"), error);
}

TEST_CASE("an error is one line whatever is quoted in it", "[core][error]") {
  CHECK(message_of<file_error>([] { fail<file_error>("a\rb", "key\n", "a\tb", "\x1b[2J\x7f"); }) ==
        "a\\rb: key\\n: expected a\\tb, got \\u001b[2J\\u007f");
  CHECK(std::string(value_error("next\xc2\x85line \xe2\x80\xa8 \xe2\x80\xa9").what()) ==
        "next\\u0085line \\u2028 \\u2029");
  CHECK(std::string(error(std::string_view("\0", 1)).what()) == "\\u0000");
}

TEST_CASE("an error leaves all other text as it is", "[core][error]") {
  for (const char* text : {"", "é ▁ \xf0\x9f\x98\x80", "\\n", "\xe2\x80", "\xc2", "\xff\xa8"}) {
    CHECK(std::string(error(text).what()) == text);
  }
}

TEST_CASE("require is silent where its condition holds and fails where it does not", "[core][error]") {
  CHECK_NOTHROW(require<value_error>(true, "noise", "scale", "> 0", "1"));
  CHECK(message_of<value_error>([] { require<value_error>(false, "noise", "scale", "> 0", "-1"); }) ==
        "noise: scale: expected > 0, got -1");
}
