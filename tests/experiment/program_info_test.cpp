#include "kvtransfer/experiment/program_info.hpp"

#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a program's record says what ran where", "[experiment][program_info]") {
  const program_info info = make_program_info(small_model(), "none");
  CHECK(info.device == "cpu");
  CHECK(info.dtype == "float32");
  CHECK(info.quantization == "none");
  CHECK(info.threads >= 1);
  CHECK(info.libtorch.starts_with("2."));
}
