#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/linear/nf4_product.hpp"
#include "kernels/linear/nf4_values.hpp"

// NF4 on a CPU, written for the compiler to vectorise. Included once by each variant; `Variant` keeps what it compiles
// apart from the others' copies.

namespace kvtransfer::kernels {

/// What NF4 is read with on a CPU, compiled for one instruction set.
struct nf4_cpu_variant {
  /// Writes rows [begin, end) of x · matrixᵀ. @param x fp32 [rows, in] @param y fp32 [rows, out] @param row fp32 [in]
  void (*multiply)(const nf4_codes& matrix, const float* x, std::int64_t rows, float* y, float* row, std::int64_t begin,
                   std::int64_t end);
  /// Writes elements [begin, end), whole blocks or up to the end. @param values fp32, of the first element
  void (*dequantize)(const nf4_codes& matrix, float* values, std::int64_t begin, std::int64_t end);
};

extern const nf4_cpu_variant nf4_scalar_variant;
extern const nf4_cpu_variant nf4_avx2_variant;
extern const nf4_cpu_variant nf4_avx512_variant;

/// The best variant for this machine, held back by ATEN_CPU_CAPABILITY as torch's own kernels are.
const nf4_cpu_variant& best_nf4_variant();

namespace nf4_rows {

/// Both values of a byte, for all bytes.
template <class Variant>
struct pair_table {
  float pairs[256][2];
  constexpr pair_table() : pairs() {
    constexpr float values[16] = {KVT_NF4_VALUES};
    for (int byte = 0; byte < 256; ++byte) {
      pairs[byte][0] = values[byte >> 4];
      pairs[byte][1] = values[byte & 15];
    }
  }
};

template <class Variant>
inline constexpr pair_table<Variant> table{};

/// The nearest number that `rounding` can hold, ties to even; floats in, floats out.
template <class Variant>
inline void round_all(float* values, std::int64_t count, nf4_rounding rounding) {
  if (rounding == nf4_rounding::bfloat16) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, values + i, 4);
      bits = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
      std::memcpy(values + i, &bits, 4);
    }
  } else if (rounding == nf4_rounding::float16) {
    constexpr float smallest_normal = 6.103515625e-05F;  // 2^-14: below it fp16 has multiples of 2^-24
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = values[i];
      const float magnitude = value < 0 ? -value : value;
      std::uint32_t bits;
      std::memcpy(&bits, &magnitude, 4);
      bits = (bits + 0xfffU + ((bits >> 13) & 1U)) & 0xffffe000U;
      float normal;
      std::memcpy(&normal, &bits, 4);
      normal = normal > 65504.0F ? __builtin_inff() : normal;
      const float subnormal = (magnitude + 0.5F) - 0.5F;  // floats from 0.5 on are multiples of 2^-24
      const float rounded = magnitude < smallest_normal ? subnormal : normal;
      values[i] = __builtin_copysignf(rounded, value);
    }
  }
}

template <class Variant>
inline float scale_of(const nf4_codes& matrix, std::int64_t block) {
  if (matrix.nested_codes == nullptr) {
    return matrix.absmax[block];
  }
  // Volatile: fused with the sum, the product would keep bits that bitsandbytes rounds away.
  const volatile float product =
      matrix.quant_map[matrix.nested_codes[block]] * matrix.nested_absmax[block >> matrix.nested_shift];
  return product + *matrix.offset;
}

template <class Variant>
void dequantize(const nf4_codes& matrix, float* values, std::int64_t begin, std::int64_t end) {
  for (std::int64_t first = begin; first < end;) {
    const std::int64_t block = first >> matrix.block_shift;
    const std::int64_t rest = ((block + 1) << matrix.block_shift) - first;
    const std::int64_t count = rest < end - first ? rest : end - first;
    const float scale = scale_of<Variant>(matrix, block);
    const std::uint8_t* const codes = matrix.codes + first / 2;
    float* const out = values + (first - begin);
    for (std::int64_t i = 0; i < count / 2; ++i) {
      std::memcpy(out + 2 * i, table<Variant>.pairs[codes[i]], sizeof(float[2]));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] *= scale;
    }
    round_all<Variant>(out, count, matrix.rounding);
    first += count;
  }
}

/// Sixteen sums side by side: one would wait for itself, and the order of a sum is not the compiler's to change.
template <class Variant>
inline float dot(const float* a, const float* b, std::int64_t count) {
  float sums[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) {
      sums[lane] += a[i + lane] * b[i + lane];
    }
  }
  for (int lane = 0; i + lane < count; ++lane) {
    sums[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (const float part : sums) {
    sum += part;
  }
  return sum;
}

template <class Variant>
void multiply(const nf4_codes& matrix, const float* x, std::int64_t rows, float* y, float* row, std::int64_t begin,
              std::int64_t end) {
  for (std::int64_t out = begin; out < end; ++out) {
    dequantize<Variant>(matrix, row, out * matrix.in, (out + 1) * matrix.in);
    for (std::int64_t m = 0; m < rows; ++m) {
      y[m * matrix.out + out] = dot<Variant>(row, x + m * matrix.in, matrix.in);
    }
  }
}

}  // namespace nf4_rows
}  // namespace kvtransfer::kernels
