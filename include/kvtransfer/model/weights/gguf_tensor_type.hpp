#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvtransfer {

/// How a tensor of a GGUF file is stored; the values are the file's own numbers.
/// Source: ggml-org/ggml, docs/gguf.md, ggml_type; removed numbers are left out.
enum class gguf_tensor_type : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
};

/// A type's name and its blocks: so many elements of a row lie together in so many bytes.
struct gguf_block_format {
  gguf_tensor_type type{};     ///< which format
  std::string_view name;       ///< "F32", "Q4_0", …
  std::uint32_t elements = 1;  ///< elements of a block
  std::uint32_t bytes = 0;     ///< of a block
  bool readable = false;       ///< whether its elements can be brought back as floats here
};

/// The format of a type. Every enumerator has one.
[[nodiscard]] const gguf_block_format& describe(gguf_tensor_type type);

/// The type a file gives by number, or nothing where no type has that number.
[[nodiscard]] std::optional<gguf_tensor_type> gguf_tensor_type_numbered(std::uint32_t number);

/// The names of all readable types: "F32, F16, Q4_0, ...".
[[nodiscard]] std::string readable_gguf_tensor_types();

}  // namespace kvtransfer
