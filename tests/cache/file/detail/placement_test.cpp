#include <cstdint>

#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using enum kvtransfer::safetensors_dtype;

TEST_CASE("wider types come first, each kind in the order given, without gaps", "[cache][file]") {
  const safetensors_header header =
      place_tensors({{"half", f16, {3}}, {"b", f32, {2}}, {"long", i64, {1, 2}}, {"a", i32, {1}}});
  CHECK(header.tensors.at("long") == safetensors_entry{i64, {1, 2}, 0, 16});
  CHECK(header.tensors.at("b") == safetensors_entry{f32, {2}, 16, 24});
  CHECK(header.tensors.at("a") == safetensors_entry{i32, {1}, 24, 28});
  CHECK(header.tensors.at("half") == safetensors_entry{f16, {3}, 28, 34});
}

TEST_CASE("sizes that no file can have are refused", "[cache][file]") {
  CHECK_THROWS_AS(place_tensors({{"a", f32, {-1}}}), value_error);
  CHECK_THROWS_AS(place_tensors({{"a", f32, {std::int64_t{1} << 61}}}), value_error);
  CHECK_THROWS_AS(place_tensors({{"a", i8, {std::int64_t{1} << 62}}, {"b", i8, {std::int64_t{1} << 62}}}), value_error);
}
