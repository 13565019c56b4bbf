#pragma once

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

  Byte* at(std::int64_t index, std::int64_t byte) const { return data + index * row + byte; }
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

/// Sixteen bytes of one row, unaligned.
inline __m128i load_row(const matrix<const char>& from, std::int64_t row) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.at(row, 0)));
}

/// The low and high halves of two rows' elements by turns, in a column's order.
inline void store_halves(const matrix<char>& to, std::int64_t column, __m128i left, __m128i right) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.at(column, 0)), _mm_unpacklo_epi64(left, right));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.at(column + 1, 0)), _mm_unpackhi_epi64(left, right));
}

/// Eight rows of eight 16-bit elements.
inline void transpose_eight_by_eight(const matrix<char>& to, const matrix<const char>& from) {
  __m128i pairs[8];
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm_unpacklo_epi16(load_row(from, 2 * i), load_row(from, 2 * i + 1));
    pairs[2 * i + 1] = _mm_unpackhi_epi16(load_row(from, 2 * i), load_row(from, 2 * i + 1));
  }
  for (int half = 0; half < 2; ++half) {
    const __m128i top = pairs[half];
    const __m128i upper = pairs[2 + half];
    const __m128i lower = pairs[4 + half];
    const __m128i bottom = pairs[6 + half];
    store_halves(to, 4 * half, _mm_unpacklo_epi32(top, upper), _mm_unpacklo_epi32(lower, bottom));
    store_halves(to, 4 * half + 2, _mm_unpackhi_epi32(top, upper), _mm_unpackhi_epi32(lower, bottom));
  }
}

/// Four rows of four 32-bit elements.
inline void transpose_four_by_four(const matrix<char>& to, const matrix<const char>& from) {
  const __m128i top_left = _mm_unpacklo_epi32(load_row(from, 0), load_row(from, 1));
  const __m128i top_right = _mm_unpackhi_epi32(load_row(from, 0), load_row(from, 1));
  const __m128i bottom_left = _mm_unpacklo_epi32(load_row(from, 2), load_row(from, 3));
  const __m128i bottom_right = _mm_unpackhi_epi32(load_row(from, 2), load_row(from, 3));
  store_halves(to, 0, top_left, bottom_left);
  store_halves(to, 2, top_right, bottom_right);
}

#endif

/// to[j][i] = from[i][j] for a matrix of any size, by tiles of sixteen bytes a row where the processor has such
/// registers.
template <class Element>
void transpose_tile(const matrix<char>& to, const matrix<const char>& from, std::int64_t rows, std::int64_t columns) {
  std::int64_t whole_rows = 0;
  std::int64_t whole_columns = 0;
#if defined(__SSE2__)
  if constexpr (sizeof(Element) == 2 || sizeof(Element) == 4) {
    constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
    constexpr std::int64_t side = 16 / size;
    whole_rows = rows / side * side;
    whole_columns = columns / side * side;
    for (std::int64_t i = 0; i < whole_rows; i += side) {
      for (std::int64_t j = 0; j < whole_columns; j += side) {
        const matrix<char> place{to.at(j, i * size), to.row};
        const matrix<const char> tile{from.at(i, j * size), from.row};
        if constexpr (size == 2) {
          transpose_eight_by_eight(place, tile);
        } else {
          transpose_four_by_four(place, tile);
        }
      }
    }
  }
#endif
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  transpose_elements<Element>({to.at(whole_columns, 0), to.row}, {from.at(0, whole_columns * size), from.row},
                              whole_rows, columns - whole_columns);
  transpose_elements<Element>({to.at(0, whole_rows * size), to.row}, {from.at(whole_rows, 0), from.row},
                              rows - whole_rows, columns);
}

}  // namespace kvtransfer::kernels
