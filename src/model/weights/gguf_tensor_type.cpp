#include "kvtransfer/model/weights/gguf_tensor_type.hpp"

#include <algorithm>
#include <array>

namespace kvtransfer {

namespace {

using enum gguf_tensor_type;

// Source: the `gguf` package, constants.py, GGML_QUANT_SIZES.
constexpr std::array<gguf_block_format, 34> formats{{
    {f32, "F32", 1, 4, true},
    {f16, "F16", 1, 2, true},
    {q4_0, "Q4_0", 32, 18, true},
    {q4_1, "Q4_1", 32, 20, true},
    {q5_0, "Q5_0", 32, 22, true},
    {q5_1, "Q5_1", 32, 24, true},
    {q8_0, "Q8_0", 32, 34, true},
    {q8_1, "Q8_1", 32, 40},
    {q2_k, "Q2_K", 256, 84},
    {q3_k, "Q3_K", 256, 110},
    {q4_k, "Q4_K", 256, 144, true},
    {q5_k, "Q5_K", 256, 176, true},
    {q6_k, "Q6_K", 256, 210, true},
    {q8_k, "Q8_K", 256, 292},
    {iq2_xxs, "IQ2_XXS", 256, 66},
    {iq2_xs, "IQ2_XS", 256, 74},
    {iq3_xxs, "IQ3_XXS", 256, 98},
    {iq1_s, "IQ1_S", 256, 50},
    {iq4_nl, "IQ4_NL", 32, 18},
    {iq3_s, "IQ3_S", 256, 110},
    {iq2_s, "IQ2_S", 256, 82},
    {iq4_xs, "IQ4_XS", 256, 136},
    {i8, "I8", 1, 1},
    {i16, "I16", 1, 2},
    {i32, "I32", 1, 4},
    {i64, "I64", 1, 8},
    {f64, "F64", 1, 8},
    {iq1_m, "IQ1_M", 256, 56},
    {bf16, "BF16", 1, 2, true},
    {tq1_0, "TQ1_0", 256, 54},
    {tq2_0, "TQ2_0", 256, 66},
    {mxfp4, "MXFP4", 32, 17},
    {nvfp4, "NVFP4", 64, 36},
    {q1_0, "Q1_0", 128, 18},
}};

}  // namespace

const gguf_block_format& describe(gguf_tensor_type type) {
  return *std::find_if(formats.begin(), formats.end(), [&](const auto& format) { return format.type == type; });
}

std::optional<gguf_tensor_type> gguf_tensor_type_numbered(std::uint32_t number) {
  for (const gguf_block_format& format : formats) {
    if (static_cast<std::uint32_t>(format.type) == number) {
      return format.type;
    }
  }
  return std::nullopt;
}

std::string readable_gguf_tensor_types() {
  std::string names;
  for (const gguf_block_format& format : formats) {
    if (format.readable) {
      names.append(names.empty() ? "" : ", ").append(format.name);
    }
  }
  return names;
}

}  // namespace kvtransfer
