#pragma once

#include <cstdint>

namespace kvtransfer::kernels {

/// What a value is rounded to before it is multiplied: what the matrix would hold if it were brought back.
enum class nf4_rounding : std::uint8_t { none, bfloat16, float16 };

/// A matrix in NF4, lowered: a plain struct for kernels. Elements are numbered row by row; both block sizes are powers
/// of two and `in` and `block_size` multiples of `nf4_chunk`, so that the elements of a chunk share a scale.
struct nf4_codes {
  const std::uint8_t* codes = nullptr;         ///< two elements a byte, the first in the high half
  const float* absmax = nullptr;               ///< a scale each block; null with nested scales
  const std::uint8_t* nested_codes = nullptr;  ///< a nested scale each block, else null
  const float* nested_absmax = nullptr;        ///< a scale each nested block
  const float* quant_map = nullptr;            ///< 256 values of nested codes
  const float* offset = nullptr;               ///< one number, added to every nested scale
  int block_shift = 6;                         ///< log2 of elements a block
  int nested_shift = 8;                        ///< log2 of scales a nested block
  std::int64_t out = 0;                        ///< rows of the matrix
  std::int64_t in = 0;                         ///< columns
  nf4_rounding rounding = nf4_rounding::none;  ///< of each value
};

/// Elements that are read at once.
inline constexpr std::int64_t nf4_chunk = 8;

/// Rows of x that one pass over the codes multiplies, at most.
inline constexpr std::int64_t nf4_rows_a_pass = 8;

}  // namespace kvtransfer::kernels
