#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("every safetensors type has a torch type of the same size, and back", "[tensor][safetensors_scalar_type]") {
  for (const auto& known : safetensors_dtypes) {
    const at::ScalarType type = scalar_type_of(known.dtype);
    CAPTURE(known.name);
    CHECK(c10::elementSize(type) == known.bytes);
    CHECK(safetensors_dtype_of(type) == known.dtype);
  }
}

TEST_CASE("a torch type that the format lacks has no counterpart", "[tensor][safetensors_scalar_type]") {
  CHECK_FALSE(safetensors_dtype_of(at::kComplexDouble));
  CHECK_FALSE(safetensors_dtype_of(at::kQInt8));
}
