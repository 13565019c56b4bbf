#pragma once

#include <c10/macros/Macros.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace kvtransfer::kernels {

/// A matrix whose rows are contiguous, `row` bytes apart.
template <class Byte>
struct matrix {
  Byte* data;
  std::int64_t row;

  [[nodiscard]] Byte* at(std::int64_t index, std::int64_t byte) const { return data + index * row + byte; }
};

/// Element by element: to[j][i] = from[i][j].
template <class Element>
void transpose_elements(const matrix<char>& to, const matrix<const char>& from, std::int64_t rows,
                        std::int64_t columns) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      std::memcpy(to.at(j, i * size), from.at(i, j * size), sizeof(Element));
    }
  }
}

#if defined(__SSE2__)

/// The elements of two rows by turns: those of the low halves, then those of the high ones.
template <class Element>
C10_ALWAYS_INLINE void weave(__m128i left, __m128i right, __m128i& low, __m128i& high) {
  if constexpr (sizeof(Element) == 1) {
    low = _mm_unpacklo_epi8(left, right);
    high = _mm_unpackhi_epi8(left, right);
  } else if constexpr (sizeof(Element) == 2) {
    low = _mm_unpacklo_epi16(left, right);
    high = _mm_unpackhi_epi16(left, right);
  } else if constexpr (sizeof(Element) == 4) {
    low = _mm_unpacklo_epi32(left, right);
    high = _mm_unpackhi_epi32(left, right);
  } else {
    low = _mm_unpacklo_epi64(left, right);
    high = _mm_unpackhi_epi64(left, right);
  }
}

/// As many rows as a register has elements. Weaving each row with the one half the rows further on moves the highest
/// bit of a row's number below the bits of the column's; once for every bit, and rows are columns.
template <class Element>
C10_ALWAYS_INLINE void transpose_square(const matrix<char>& to, const matrix<const char>& from) {
  constexpr int side = 16 / sizeof(Element);
  __m128i rows[side];
  for (int i = 0; i < side; ++i) {
    rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.at(i, 0)));
  }
  for (int woven_rows = 1; woven_rows < side; woven_rows *= 2) {
    __m128i woven[side];
    for (int i = 0; i < side / 2; ++i) {
      weave<Element>(rows[i], rows[i + side / 2], woven[2 * i], woven[2 * i + 1]);
    }
    std::copy_n(woven, side, rows);
  }
  for (int i = 0; i < side; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to.at(i, 0)), rows[i]);
  }
}

#endif

/// to[j][i] = from[i][j] for a matrix of any size, by squares of sixteen bytes a row where the processor has such
/// registers.
template <class Element>
void transpose_tile(const matrix<char>& to, const matrix<const char>& from, std::int64_t rows, std::int64_t columns) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  std::int64_t whole_rows = 0;
  std::int64_t whole_columns = 0;
#if defined(__SSE2__)
  constexpr std::int64_t side = 16 / size;
  whole_rows = rows / side * side;
  whole_columns = columns / side * side;
  for (std::int64_t i = 0; i < whole_rows; i += side) {
    for (std::int64_t j = 0; j < whole_columns; j += side) {
      transpose_square<Element>({to.at(j, i * size), to.row}, {from.at(i, j * size), from.row});
    }
  }
#endif
  transpose_elements<Element>({to.at(whole_columns, 0), to.row}, {from.at(0, whole_columns * size), from.row},
                              whole_rows, columns - whole_columns);
  transpose_elements<Element>({to.at(0, whole_rows * size), to.row}, {from.at(whole_rows, 0), from.row},
                              rows - whole_rows, columns);
}

}  // namespace kvtransfer::kernels
