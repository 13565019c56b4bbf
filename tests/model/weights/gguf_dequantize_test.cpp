#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/message.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_fixtures;

namespace {

/// Equal bits; of a NaN only that it is one, since which of two operands' NaNs a sum has is the compiler's choice.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

}  // namespace

TEST_CASE("blocks of every readable type come back as the gguf package brings them back, to the bit", "[model][gguf]") {
  const gguf_file file = gguf_file::open(gguf_fixtures() + "quants.gguf");
  const safetensors_file expected = safetensors_file::open(gguf_fixtures() + "quants.safetensors");
  std::string types;
  for (const auto& [name, tensor] : file.header().tensors) {
    CAPTURE(name);
    CHECK(describe(tensor.type).name == name);
    const at::Tensor wanted = expected.tensor(name);
    const float* const bits = wanted.const_data_ptr<float>();
    const std::vector<float> elements = file.floats(name);
    REQUIRE(static_cast<std::int64_t>(elements.size()) == wanted.numel());
    std::size_t differing = 0;
    std::size_t finite = 0;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      differing += same(elements[i], bits[i]) ? 0U : 1U;
      finite += std::isfinite(bits[i]) ? 1U : 0U;
    }
    CHECK(differing == 0);
    CHECK(2 * finite > elements.size());
    CHECK_THAT(readable_gguf_tensor_types() + ", ", test::contains(name + ", "));
  }
  CHECK(file.header().tensors.size() == 11);
}

TEST_CASE("a tensor type that cannot be brought back is refused by name, with those that can", "[model][gguf]") {
  const test::temporary_folder folder;
  test::gguf_bytes bytes;
  bytes.tensor("t", {256}, 10, 0).data(std::string(84, 0));
  const gguf_file file = gguf_file::open(folder.put("x.gguf", bytes.bytes()));
  CHECK(test::message_of<file_error>([&] { static_cast<void>(file.floats("t")); }) ==
        file.path().string() +
            ": tensor \"t\": type: expected one of F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16, got "
            "Q2_K");
  CHECK_THAT(test::message_of<file_error>([&] { static_cast<void>(file.floats("u")); }),
             test::EndsWith(": tensor: expected \"u\", got 1 other tensors"));
}
