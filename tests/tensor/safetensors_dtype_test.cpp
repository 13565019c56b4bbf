#include "kvtransfer/tensor/safetensors_dtype.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("every type is described in its own place and found by its name", "[tensor][safetensors_dtype]") {
  for (std::size_t i = 0; i < safetensors_dtypes.size(); ++i) {
    CHECK(static_cast<std::size_t>(safetensors_dtypes[i].dtype) == i);
    CHECK(safetensors_dtype_named(safetensors_dtypes[i].name) == safetensors_dtypes[i].dtype);
  }
}

TEST_CASE("names are matched exactly", "[tensor][safetensors_dtype]") {
  CHECK_FALSE(safetensors_dtype_named("f32"));
  CHECK_FALSE(safetensors_dtype_named(""));
  CHECK_FALSE(safetensors_dtype_named("F4"));
}
