#pragma once

#include <cstdint>

namespace kvtransfer::kernels {

/// A product of a few rows with a matrix, lowered: a plain struct for kernels.
struct dense_product {
  const void* weight = nullptr;  ///< [out, in]
  const float* x = nullptr;      ///< [rows, in]
  float* y = nullptr;            ///< [rows, out]
  std::int64_t rows = 0;
  std::int64_t out = 0;
  std::int64_t in = 0;
};

/// Rows of x that a GPU's kernels take: of more, a matrix product as torch has it is faster.
inline constexpr std::int64_t most_few_rows = 8;

}  // namespace kvtransfer::kernels
