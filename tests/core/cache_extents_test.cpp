#include "kvtransfer/core/cache_extents.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("extents print by axis name", "[core][cache_extents]") {
  CHECK(fmt::format("{}", cache_extents{1, 8, 512, 128}) == "[batch=1, kv_heads=8, seq=512, head_dim=128]");
}

TEST_CASE("extents are equal when every axis is", "[core][cache_extents]") {
  CHECK(cache_extents{1, 8, 512, 128} == cache_extents{1, 8, 512, 128});
  CHECK_FALSE(cache_extents{1, 8, 512, 128} == cache_extents{1, 8, 128, 512});
}
