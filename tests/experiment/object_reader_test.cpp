#include "experiment/object_reader.hpp"

#include <cstdint>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("fields of the right type are read", "[experiment][object_reader]") {
  const nlohmann::json value = {{"text", "a"}, {"flag", true},  {"count", 3},
                                {"minus", -3}, {"ids", {1, 2}}, {"inner", {{"x", "y"}}}};
  const object_reader reader(value, "f");
  CHECK(reader.text("text") == "a");
  CHECK(reader.flag("flag"));
  CHECK(reader.integer<std::uint64_t>("count") == 3);
  CHECK(reader.integer<std::int64_t>("minus") == -3);
  CHECK(reader.integers("ids") == std::vector<std::int64_t>{1, 2});
  CHECK(reader.object("inner").text("x") == "y");
  CHECK(reader.object("inner").path_of("x") == "inner.x");
}

TEST_CASE("fields of another type are refused by path", "[experiment][object_reader]") {
  const nlohmann::json value = {{"minus", -3}, {"half", 0.5}, {"list", {{{"x", 1}}, 2}}};
  const object_reader reader(value, "f");
  const auto complaint = [&](auto&& read) { return message_of<file_error>(read); };
  CHECK(complaint([&] { reader.integer<std::uint64_t>("minus"); }) ==
        "f: minus: expected an integer, 0 or more, got -3");
  CHECK(complaint([&] { reader.integer<std::int64_t>("half"); }) == "f: half: expected an integer, got 0.5");
  CHECK(complaint([&] { reader.flag("none"); }) == "f: none: expected true or false, got nothing");
  CHECK(complaint([&] { reader.objects("list"); }) == "f: list[1]: expected an object, got 2");
  CHECK(complaint([&] { object_reader(nlohmann::json::array(), "f"); }) == "f: document: expected an object, got []");
}
