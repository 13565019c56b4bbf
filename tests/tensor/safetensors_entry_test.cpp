#include <cstdint>
#include <limits>

#include "kvtransfer/tensor/safetensors_header.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("bytes are shape times size, one element for a scalar", "[tensor][safetensors_entry]") {
  CHECK(safetensors_bytes({2, 3}, safetensors_dtype::f16) == 12);
  CHECK(safetensors_bytes({}, safetensors_dtype::f64) == 8);
  CHECK(safetensors_bytes({4, 0, 5}, safetensors_dtype::f32) == 0);
}

TEST_CASE("a product past 63 bits is seen, behind a zero dimension too", "[tensor][safetensors_entry]") {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(safetensors_bytes({huge}, safetensors_dtype::u8) == huge);
  CHECK_FALSE(safetensors_bytes({huge}, safetensors_dtype::f16));
  CHECK_FALSE(safetensors_bytes({1LL << 32, 1LL << 31}, safetensors_dtype::u8));
  CHECK_FALSE(safetensors_bytes({0, huge, huge}, safetensors_dtype::u8));
}
