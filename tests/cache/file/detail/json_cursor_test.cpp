#include "kvtransfer/cache/file/detail/json_cursor.hpp"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using kvtransfer::test::message_of;

namespace {

/// What a cursor at `value` complains of when it is read by `read`.
template <class Read>
std::string json_complaint(const nlohmann::json& value, Read&& read) {
  return message_of<file_error>([&] { read(json_cursor(value, "FILE", "root")); });
}

}  // namespace

TEST_CASE("a complaint names the file and the way to the field", "[cache][file]") {
  const nlohmann::json value{{"list", {1, {{"name", "x"}}}}};
  CHECK(json_complaint(value, [](const json_cursor& root) {
          root.member("list").for_each_item([](const json_cursor& item) { item.member("name"); });
        }) == "FILE: root.list[0]: expected an object with name, got 1");
  CHECK(json_complaint(value, [](const json_cursor& root) { root.member("other"); }) ==
        R"(FILE: root: expected an object with other, got {"list":[1,{"name":"x"}]})");
  CHECK(json_complaint({{"a\n", 1}}, [](const json_cursor& root) {
          root.for_each_member([](const std::string&, const json_cursor& member) { member.text(); });
        }) == R"(FILE: root."a\n": expected a string, got 1)");
}

TEST_CASE("an object has the members it has to have and no others", "[cache][file]") {
  const auto require_ab = [](const json_cursor& root) { root.require_members({"a", "b"}); };
  CHECK(json_complaint({{"a", 1}, {"b", 2}}, require_ab).empty());
  CHECK(json_complaint({{"a", 1}}, require_ab) == R"(FILE: root: expected an object of a, b, got {"a":1})");
  CHECK_FALSE(json_complaint({{"a", 1}, {"b", 2}, {"c", 3}}, require_ab).empty());
  CHECK_FALSE(json_complaint({1, 2}, require_ab).empty());
}

TEST_CASE("a value of another type is refused", "[cache][file]") {
  CHECK_FALSE(json_complaint(1, [](const json_cursor& value) { value.text(); }).empty());
  CHECK_FALSE(json_complaint("1", [](const json_cursor& value) { value.number(); }).empty());
  CHECK_FALSE(json_complaint(0, [](const json_cursor& value) { value.boolean(); }).empty());
  CHECK_FALSE(json_complaint("x", [](const json_cursor& value) { value.for_each_item([](const auto&) {}); }).empty());
  CHECK_FALSE(json_complaint("x", [](const json_cursor& value) {
                value.for_each_member([](const auto&, const auto&) {});
              }).empty());
  const nlohmann::json half = 0.5;
  CHECK(json_cursor(half, "FILE", "root").number() == 0.5);
}

TEST_CASE("integers are taken from 0 to a limit, and only whole ones", "[cache][file]") {
  const auto read = [](const json_cursor& value) { value.integer_up_to(255); };
  CHECK(json_complaint(255, read).empty());
  for (const nlohmann::json& value : nlohmann::json{256, -1, 1.0, "1", nullptr}) {
    CHECK(json_complaint(value, read) == "FILE: root: expected an integer from 0 to 255, got " + value.dump());
  }
  CHECK_FALSE(json_complaint(std::numeric_limits<std::uint64_t>::max(), [](const json_cursor& value) {
                value.integer_up_to(std::numeric_limits<std::int64_t>::max());
              }).empty());
}
