#include "kvtransfer/core/json_reader.hpp"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::message_of;

namespace {

/// What a cursor at `value` complains of when it is read by `read`.
template <class Read>
std::string json_complaint(const nlohmann::json& value, Read&& read) {
  return message_of<file_error>([&] { read(json_reader(value, "FILE", "root")); });
}

}  // namespace

TEST_CASE("a complaint names the file and the way to the field", "[core][json_reader]") {
  const nlohmann::json value{{"list", {1, {{"name", "x"}}}}};
  CHECK(json_complaint(value, [](const json_reader& root) {
          root.member("list").for_each_item([](const json_reader& item) { (void)item.member("name"); });
        }) == "FILE: root.list[0]: expected an object with name, got 1");
  CHECK(json_complaint(value, [](const json_reader& root) { (void)root.member("other"); }) ==
        R"(FILE: root: expected an object with other, got {"list":[1,{"name":"x"}]})");
  CHECK(json_complaint({{"a\n", 1}}, [](const json_reader& root) {
          root.for_each_member([](const std::string&, const json_reader& member) { (void)member.text(); });
        }) == R"(FILE: root."a\n": expected a string, got 1)");
}

TEST_CASE("an object has the members it has to have and no others", "[core][json_reader]") {
  const auto require_ab = [](const json_reader& root) { root.require_members({"a", "b"}); };
  CHECK(json_complaint({{"a", 1}, {"b", 2}}, require_ab).empty());
  CHECK(json_complaint({{"a", 1}}, require_ab) == R"(FILE: root: expected an object of a, b, got {"a":1})");
  CHECK_FALSE(json_complaint({{"a", 1}, {"b", 2}, {"c", 3}}, require_ab).empty());
  CHECK_FALSE(json_complaint({1, 2}, require_ab).empty());
}

TEST_CASE("a value of another type is refused", "[core][json_reader]") {
  CHECK_FALSE(json_complaint(1, [](const json_reader& value) { (void)value.text(); }).empty());
  CHECK_FALSE(json_complaint("1", [](const json_reader& value) { (void)value.number(); }).empty());
  CHECK_FALSE(json_complaint(0, [](const json_reader& value) { (void)value.boolean(); }).empty());
  CHECK_FALSE(json_complaint("x", [](const json_reader& value) { value.for_each_item([](const auto&) {}); }).empty());
  CHECK_FALSE(json_complaint("x", [](const json_reader& value) {
                value.for_each_member([](const auto&, const auto&) {});
              }).empty());
  const nlohmann::json half = 0.5;
  CHECK(json_reader(half, "FILE", "root").number() == 0.5);
}

TEST_CASE("integers are taken from 0 to a limit, and only whole ones", "[core][json_reader]") {
  const auto read = [](const json_reader& value) { (void)value.integer(0, 255); };
  CHECK(json_complaint(255, read).empty());
  for (const nlohmann::json& value : nlohmann::json{256, -1, 1.0, "1", nullptr}) {
    CHECK(json_complaint(value, read) == "FILE: root: expected an integer from 0 to 255, got " + value.dump());
  }
  CHECK_FALSE(json_complaint(std::numeric_limits<std::uint64_t>::max(), [](const json_reader& value) {
                (void)value.integer(0);
              }).empty());
}

TEST_CASE("a field that is missing is named by its whole path", "[core][json_reader]") {
  const nlohmann::json value{{"list", {{{"name", "x"}}, {{"count", -1}}}}};
  CHECK(json_complaint(value, [](const json_reader& root) { (void)root.objects("list")[1].text("name"); }) ==
        "FILE: root.list[1].name: expected a string, got nothing");
  CHECK(json_complaint(value, [](const json_reader& root) { (void)root.object("list"); }) ==
        R"(FILE: root.list: expected an object, got [{"name":"x"},{"count":-1}])");
  CHECK(json_complaint(value, [](const json_reader& root) { (void)root.objects("list")[1].size_of("count"); }) ==
        "FILE: root.list[1].count: expected an integer from 1 to 2147483647, got -1");
  CHECK(message_of<file_error>([&] { (void)json_reader(value, "FILE").text("list"); }) ==
        R"(FILE: list: expected a string, got [{"name":"x"},{"count":-1}])");
}

TEST_CASE("null counts as missing where a value may be left out", "[core][json_reader]") {
  const nlohmann::json value{{"nothing", nullptr}, {"zero", 0}};
  const json_reader root(value, "FILE");
  CHECK(root.contains("nothing"));
  CHECK_FALSE(root.find("nothing"));
  CHECK(root.text("nothing", "otherwise") == "otherwise");
  CHECK(root.boolean("missing", true));
  CHECK(root.size_of("nothing", 7) == 7);
  CHECK(root.positive_number("missing", 0.5) == 0.5);
  CHECK(json_complaint(value, [](const json_reader& r) { (void)r.positive_number("zero", 1.0); }) ==
        "FILE: root.zero: expected a number above zero, got 0");
  CHECK(json_complaint(value, [](const json_reader& r) { (void)r.text("nothing"); }) ==
        "FILE: root.nothing: expected a string, got null");
}

TEST_CASE("a misspelt field is refused rather than ignored", "[core][json_reader]") {
  const nlohmann::json value{{"name", "x"}, {"nmae", "y"}};
  CHECK(json_complaint(value, [](const json_reader& root) { root.allow_only({"name", "count"}); }) ==
        "FILE: root.nmae: expected one of the fields name, count, got an unknown field");
}

TEST_CASE("a complaint stays one line whatever a field is called", "[core][json_reader]") {
  const auto complaint = [](const std::string& key) {
    const nlohmann::json value{{key, 1}};
    return json_complaint(value, [](const json_reader& root) { root.allow_only({"name"}); });
  };
  CHECK(complaint("a\nb") == R"(FILE: root."a\nb": expected one of the fields name, got an unknown field)");
  CHECK(complaint("") == R"(FILE: root."": expected one of the fields name, got an unknown field)");
  CHECK(complaint("été") == "FILE: root.été: expected one of the fields name, got an unknown field");
  CHECK(complaint(std::string(5000, 'k')).size() < 200);
  CHECK(json_complaint({{"\r", 1}}, [](const json_reader& root) { (void)root.text("\r"); }) ==
        R"(FILE: root."\r": expected a string, got 1)");
}

TEST_CASE("a list holds items of one type", "[core][json_reader]") {
  const nlohmann::json numbers{1, -2, 3};
  CHECK(json_reader(numbers, "FILE").integers() == std::vector<std::int64_t>{1, -2, 3});
  const nlohmann::json mixed{1, "two"};
  CHECK(json_complaint(mixed, [](const json_reader& root) { (void)root.integers(); }) ==
        R"(FILE: root: expected a list of integers, got "two" at [1])");
  CHECK(json_complaint(mixed, [](const json_reader& root) { (void)root.texts(); }) ==
        "FILE: root: expected a list of strings, got 1 at [0]");
  const auto past_int64 = nlohmann::json::parse("[1, 18446744073709551615]");
  CHECK(json_complaint(past_int64, [](const json_reader& root) { (void)root.integers(); }) ==
        "FILE: root: expected a list of integers, got 18446744073709551615 at [1]");
}

TEST_CASE("a reader throws the error that its document calls for", "[core][json_reader]") {
  const nlohmann::json value{{"factor", "large"}};
  CHECK(message_of<value_error>([&] {
          (void)basic_json_reader<value_error>(value, "config").positive_number("factor", 1);
        }) == R"(config: factor: expected a number above zero, got "large")");
}

TEST_CASE("fields of the right type are read by their names", "[core][json_reader]") {
  const nlohmann::json value = {{"text", "a"}, {"flag", true},  {"count", 3},
                                {"minus", -3}, {"ids", {1, 2}}, {"inner", {{"x", "y"}}}};
  const json_reader reader(value, "f");
  CHECK(reader.text("text") == "a");
  CHECK(reader.boolean("flag"));
  CHECK(reader.member("count").integer(0) == 3);
  CHECK(reader.member("minus").integer() == -3);
  CHECK(reader.integers("ids") == std::vector<std::int64_t>{1, 2});
  CHECK(reader.member("ids").item(1).integer() == 2);
  CHECK(reader.object("inner").text("x") == "y");
  CHECK(reader.object("inner").member("x").path() == "inner.x");
}

TEST_CASE("fields of another type are refused by path", "[core][json_reader]") {
  const nlohmann::json value = {{"minus", -3}, {"half", 0.5}, {"list", {{{"x", 1}}, 2}}};
  const json_reader reader(value, "f");
  const auto complaint = [&](auto&& read) { return message_of<file_error>(read); };
  CHECK(complaint([&] { reader.member("minus").integer(0); }) == "f: minus: expected an integer, 0 or more, got -3");
  CHECK(complaint([&] { reader.member("half").integer(); }) == "f: half: expected an integer, got 0.5");
  CHECK(complaint([&] { reader.boolean("none"); }) == "f: none: expected true or false, got nothing");
  CHECK(complaint([&] { reader.texts("none"); }) == "f: none: expected a list of strings, got nothing");
  CHECK(complaint([&] { reader.objects("list"); }) == "f: list[1]: expected an object, got 2");
  const nlohmann::json list = nlohmann::json::array();
  CHECK(complaint([&] { json_reader(list, "f").keys(); }) == "f: document: expected an object, got []");
}
