#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using kvtransfer::test::message_of;

TEST_CASE("an index names a shard for every tensor", "[tensor][safetensors_index]") {
  const auto index = parse_safetensors_index(
      R"({"metadata":{"total_size":1},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})", "index.json");
  CHECK(index == safetensors_index{{"a", "m-1.safetensors"}, {"b", "m-2.safetensors"}});
}

TEST_CASE("a shard is a file name, never a path that could leave the folder", "[tensor][safetensors_index]") {
  for (const std::string_view shard : {"../m", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "a\\u0000b"}) {
    CAPTURE(shard);
    const std::string text = R"({"weight_map":{"w":")" + std::string(shard) + R"("}})";
    const auto complaint = message_of<file_error>([&] { parse_safetensors_index(text, "index.json"); });
    CHECK_THAT(complaint,
               test::StartsWith(R"(index.json: weight_map: "w": expected a file name in the index's folder, got)"));
  }
}

TEST_CASE("an index without a map, or with a tensor twice, is refused", "[tensor][safetensors_index]") {
  for (const std::string_view text : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
                                      R"({"weight_map":{"a":"m","a":"n"}})", R"({"weight_map":)"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_safetensors_index(text, "index.json"), file_error);
  }
}
