// Held against what others make of the same tensor: optimum-quanto, KIVI's formula in float64 and torch's fp8
// (make_fixtures.py).

#include <filesystem>
#include <string>

#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"
#include "tensor/quantized/spread_groups.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("elements come back as from optimum-quanto, KIVI and torch's fp8", "[tensor][quantized]") {
  const std::filesystem::path path = KVT_SOURCE_DIR "/tests/tensor/quantized/fixtures/groups.safetensors";
  const safetensors_file others = safetensors_file::open(path);
  const at::Tensor elements = others.tensor("elements");
  for (const code_format format : {code_format::int4, code_format::int8, code_format::float8_e4m3fn}) {
    for (const quantization_axis axis : {quantization_axis::per_token, quantization_axis::per_channel}) {
      const quantization scheme{format, axis, 8};
      INFO(describe(scheme));
      const quantized_tensor quantized = quantize(elements, scheme);
      const std::string name =
          std::string(to_string(format)) + (scheme.is_per_channel() ? " per channel" : " per token");
      const at::Tensor expected = others.tensor(name);
      const at::Tensor step = spread_groups(error_bound(quantized), scheme, quantized.groups) * 2;
      const at::Tensor difference = (dequantize(quantized) - expected).abs();
      CHECK((difference <= step).all().item<bool>());
      // All but ties, which fall either way with the last bit of a quotient, are the same.
      CHECK((difference > step * 1e-3).sum().item<std::int64_t>() <= 2);
    }
  }
}
