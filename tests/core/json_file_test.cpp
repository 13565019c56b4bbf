#include "kvtransfer/core/json_file.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;
using kvtransfer::test::temporary_folder;

TEST_CASE("JSON from a file has unique keys and bounded nesting", "[tensor][json_file]") {
  const auto complaint = [](std::string_view text) {
    return message_of<file_error>([&] { parse_json(text, "x.json", 3); });
  };
  CHECK(complaint(R"({"a": {"b": [1]}})").empty());
  CHECK(complaint(R"({"a": 1, "b": {"a": 2}})").empty());
  CHECK(complaint(R"({"a": 1, "a": 2})") == R"(x.json: JSON: expected unique keys, got "a" twice)");
  CHECK(complaint(R"({"b": {"a": 1, "a": 2}})") == R"(x.json: JSON: expected unique keys, got "a" twice)");
  CHECK(complaint(R"([[[[1]]]])") == "x.json: JSON: expected at most 3 nested levels, got more");
  CHECK(complaint(R"({"a": )") == "x.json: JSON: expected valid JSON, got a syntax error at byte 7");
  CHECK(complaint("{\"a\": \"\xff\"}") == "x.json: JSON: expected valid JSON, got a syntax error at byte 8");
  CHECK_THAT(complaint(R"({"a": 1e999})"), test::contains("within the range of a double"));
}

TEST_CASE("a JSON file that is missing, a folder or no object is refused by name", "[tensor][json_file]") {
  const temporary_folder folder;
  const auto complaint = [](const std::filesystem::path& path) {
    return message_of<file_error>([&] { read_json_object(path); });
  };
  CHECK(complaint("/nowhere/x.json") == "/nowhere/x.json: file: expected an existing file, got none");
  CHECK_THAT(complaint(folder.path()), test::contains(folder.path().string() + ": file: expected a readable file"));
  CHECK_THAT(complaint(folder.put("list.json", "[1]")), test::contains("list.json: JSON: expected an object"));
  CHECK(read_json_object(folder.put("good.json", R"({"a": 1})"))["a"] == 1);
}
