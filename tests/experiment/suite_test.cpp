#include "kvtransfer/experiment/suite.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/suite_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

nlohmann::json one_test_suite() {
  return nlohmann::json::parse(
      R"({"name": "s", "tests": [{"name": "t", "source": "a b", "target": "c", "markers": ["d"]}]})");
}

/// What is said of a suite in which the field at `pointer` is `value`.
std::string complaint_about(const char* pointer, const nlohmann::json& value) {
  nlohmann::json document = one_test_suite();
  document[nlohmann::json::json_pointer(pointer)] = value;
  return message_of<file_error>([&] { parse_suite(document, "my.json"); });
}

std::string complaint_without(const char* pointer, const char* field) {
  nlohmann::json document = one_test_suite();
  document[nlohmann::json::json_pointer(pointer)].erase(field);
  return message_of<file_error>([&] { parse_suite(document, "my.json"); });
}

}  // namespace

TEST_CASE("the built-in suite is the report's five tests with its published cells", "[experiment][suite]") {
  const suite built_in = read_suite(std::filesystem::path(KVT_SOURCE_DIR) / "examples/phase2a/suites/phase2a.json");
  REQUIRE(built_in.tests.size() == 5);
  CHECK(built_in.tests[0].name == "identity_transfer");
  CHECK(built_in.tests[0].source == "Hello, my name is Lyra and I live in Seattle.");
  CHECK(built_in.tests[0].completed.empty());
  CHECK(built_in.tests[1].completed == std::vector<std::string>{"source"});
  CHECK(built_in.tests[2].reported.at("same_cache") == reported_cell{false, {"100", "celsius"}});
  for (const test_case& test : built_in.tests) {
    CHECK(test.reported.at("noise").error);
    CHECK(test.source.find("...") == std::string::npos);
  }
}

TEST_CASE("a suite needs names, prompts and markers only", "[experiment][suite]") {
  const suite parsed = parse_suite(one_test_suite(), "my.json");
  CHECK(parsed.reported_by.empty());
  CHECK(parsed.tests.front().markers == std::vector<std::string>{"d"});
  CHECK(parsed.tests.front().reported.empty());
}

TEST_CASE("a wrong field of a suite is named with file, place, expected and found", "[experiment][suite]") {
  CHECK(complaint_about("/name", 3) == "my.json: name: expected a string, got 3");
  CHECK(complaint_about("/tests", nlohmann::json::array()) ==
        "my.json: tests: expected one or more tests, got an empty list");
  CHECK(complaint_about("/tests/0", "x") == "my.json: tests[0]: expected an object, got \"x\"");
  CHECK(complaint_about("/tests/0/target", nullptr) == "my.json: tests[0].target: expected a string, got null");
  CHECK(complaint_about("/tests/0/source", " \n") ==
        "my.json: tests[0].source: expected a prompt with some text, got an empty one");
  CHECK(complaint_about("/tests/0/markers", "d") == "my.json: tests[0].markers: expected a list of strings, got \"d\"");
  CHECK(complaint_about("/tests/0/markers", {"d", 7}) ==
        "my.json: tests[0].markers: expected a list of strings, got 7 at [1]");
  CHECK(complaint_about("/tests/0/markers", {"d", ""}) ==
        "my.json: tests[0].markers: expected one or more words, got an empty word");
  CHECK(complaint_about("/tests/0/completed", {"answer"}) ==
        "my.json: tests[0].completed: expected a list of \"source\" or \"target\", got \"answer\"");
  CHECK(complaint_about("/tests/0/reported", {{"noise", "FAILED"}}) ==
        "my.json: tests[0].reported.noise: expected a list of markers, or \"ERROR\", got \"FAILED\"");
  CHECK(complaint_about("/tests/0/marker", {"d"}) ==
        "my.json: tests[0].marker: expected one of the fields name, source, target, markers, foils, "
        "forbidden_markers, group, item, variant, prompt_form, whole_words, completed, note, reported, got an unknown "
        "field");
  CHECK(complaint_about("/tests/1", one_test_suite()["tests"][0]) ==
        "my.json: tests[1].name: expected a name not used before, got \"t\" again");
}

TEST_CASE("a wrong optional field of a suite is named likewise", "[experiment][suite]") {
  CHECK(complaint_about("/tests/0/markers", {"d", "D"}) ==
        "my.json: tests[0].markers: expected words that differ, got \"D\" again");
  CHECK(complaint_about("/tests/0/markers", {" "}) ==
        "my.json: tests[0].markers: expected one or more words, got an empty word");
  CHECK(complaint_about("/tests/0/foils", {""}) ==
        "my.json: tests[0].foils: expected one or more words, got an empty word");
  CHECK(complaint_about("/tests/0/forbidden_markers", {"D"}) ==
        "my.json: tests[0].forbidden_markers: expected words that no marker holds, got \"D\"");
  CHECK(complaint_about("/tests/0/group", "") == "my.json: tests[0].group: expected a name, got an empty one");
  CHECK(complaint_about("/tests/0/item", "i") ==
        "my.json: tests[0].variant: expected item and variant together, got nothing");
  CHECK(complaint_about("/tests/0/variant", "v") ==
        "my.json: tests[0].item: expected item and variant together, got nothing");
  CHECK(complaint_about("/tests/0/prompt_form", "poem") ==
        "my.json: tests[0].prompt_form: expected \"raw\" or \"chat\", got \"poem\"");
  CHECK(complaint_about("/tests/0/whole_words", 1) == "my.json: tests[0].whole_words: expected true or false, got 1");
  nlohmann::json twice = one_test_suite();
  twice["tests"][0]["item"] = "i";
  twice["tests"][0]["variant"] = "v";
  twice["tests"][1] = twice["tests"][0];
  twice["tests"][1]["name"] = "u";
  CHECK(message_of<file_error>([&] { parse_suite(twice, "my.json"); }) ==
        "my.json: tests[1].variant: expected one test a variant of an item, got \"v\" of \"i\" again");
}

TEST_CASE("a suite reads back as it was written", "[experiment][suite]") {
  const suite built_in = read_suite(std::filesystem::path(KVT_SOURCE_DIR) / "examples/phase2a/suites/phase2a.json");
  CHECK(parse_suite(nlohmann::json::parse(suite_text(built_in)), "again") == built_in);
}

TEST_CASE("a test's digest tells what decides on its outcome", "[experiment][suite]") {
  const test_case test = parse_suite(one_test_suite(), "my.json").tests.front();
  const auto differs = [&](auto&& change) {
    test_case other = test;
    change(other);
    return digest_of(other) != digest_of(test);
  };
  CHECK(digest_of(test).size() == 32);
  CHECK(differs([](test_case& t) { t.source += "."; }));
  CHECK(differs([](test_case& t) { t.markers.push_back("e"); }));
  CHECK(differs([](test_case& t) { t.forbidden = {"e"}; }));
  CHECK(differs([](test_case& t) { t.prompt_form = "raw"; }));
  CHECK(differs([](test_case& t) { t.whole_words = true; }));
  CHECK(differs([](test_case& t) { t.group = "g"; }));
  CHECK_FALSE(differs([](test_case& t) { t.note = "remark"; }));
  CHECK_FALSE(differs([](test_case& t) { t.reported["noise"] = {true, {}}; }));
}

TEST_CASE("a missing field of a suite is named", "[experiment][suite]") {
  CHECK(complaint_without("", "tests") == "my.json: tests: expected a list of objects, got nothing");
  CHECK(complaint_without("/tests/0", "source") == "my.json: tests[0].source: expected a string, got nothing");
  CHECK(complaint_without("/tests/0", "markers") ==
        "my.json: tests[0].markers: expected a list of strings, got nothing");
}

TEST_CASE("a suite's file that is missing or no JSON is refused", "[experiment][suite]") {
  const temporary_folder folder;
  CHECK_THROWS_AS(read_suite(folder.path() / "none.json"), file_error);
  CHECK_THROWS_AS(read_suite(folder.put("cut.json", R"({"name": "s", "tests": [)")), file_error);
  CHECK_THROWS_AS(read_suite(folder.put("list.json", "[]")), file_error);
}
