#include "model/json_fields.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::json_fields;
using kvtransfer::test::message_of;

TEST_CASE("fields are read by type, a null counts as missing", "[model][json_fields]") {
  const nlohmann::json object = {{"n", 7},          {"x", 0.5},        {"yes", true},
                                 {"name", "llama"}, {"none", nullptr}, {"ids", {1, 2}}};
  const json_fields fields(object, "x.json");
  CHECK(fields.size("n") == 7);
  CHECK(fields.size("none", 3) == 3);
  CHECK(fields.positive_number("x", 1) == 0.5);
  CHECK(fields.positive_number("absent", 1) == 1);
  CHECK(fields.boolean("yes", false));
  CHECK(fields.string("name", "") == "llama");
  const std::vector<std::int64_t> several{1, 2};
  const std::vector<std::int64_t> one{7};
  CHECK(fields.token_ids("ids") == several);
  CHECK(fields.token_ids("n") == one);
  CHECK(fields.token_ids("absent").empty());
  CHECK(fields.present("none"));
  CHECK_FALSE(fields.has("none"));
}

TEST_CASE("a field that does not fit is refused with file, key, expected and found", "[model][json_fields]") {
  const nlohmann::json object = {{"n", -7},   {"x", "0.5"},        {"yes", 1},
                                 {"name", 1}, {"big", 3000000000}, {"ids", {1, "2"}}};
  const json_fields fields(object, "x.json");
  const auto complaint = [](auto&& read) { return message_of<file_error>(read); };
  CHECK(complaint([&] { fields.size("n"); }) == "x.json: n: expected an integer from 1 to 2147483647, got -7");
  CHECK(complaint([&] { fields.size("absent"); }) ==
        "x.json: absent: expected an integer from 1 to 2147483647, got nothing");
  CHECK_FALSE(complaint([&] { fields.size("big"); }).empty());
  CHECK(complaint([&] { fields.positive_number("x", 1); }) == R"(x.json: x: expected a number above zero, got "0.5")");
  CHECK_FALSE(complaint([&] { fields.positive_number("n", 1); }).empty());
  CHECK(complaint([&] { fields.boolean("yes", false); }) == "x.json: yes: expected true or false, got 1");
  CHECK(complaint([&] { fields.string("name", ""); }) == "x.json: name: expected a string, got 1");
  CHECK(complaint([&] { fields.token_ids("ids"); }) ==
        R"(x.json: ids[1]: expected an integer from 0 to 2147483647, got "2")");
}
