#include "kvtransfer/cache/file/detail/format.hpp"

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("names of layers and frames are the format's own, others are not", "[cache][file]") {
  CHECK(cache_format::key(12) == "layers.12.key");
  CHECK(cache_format::states(0) == "frames.0.states");
  for (const std::string& name : {cache_format::value(3), cache_format::positions(1), std::string("token_ids")}) {
    CHECK(cache_format::is_reserved(name));
  }
  CHECK_FALSE(cache_format::is_reserved("token_ids_of_mine"));
  CHECK_FALSE(cache_format::is_reserved("hidden.layers.0"));
}

TEST_CASE("keys and values may be of every floating type", "[cache][file]") {
  using enum safetensors_dtype;
  for (const safetensors_dtype dtype : {f64, f32, f16, bf16, f8_e4m3, f8_e5m2}) {
    CHECK(cache_format::is_floating(dtype));
  }
  for (const safetensors_dtype dtype : {boolean, u8, i8, u16, i64, c64}) {
    CHECK_FALSE(cache_format::is_floating(dtype));
  }
}
