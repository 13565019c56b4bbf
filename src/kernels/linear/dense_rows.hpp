#pragma once

#include <cstdint>

#include "kernels/linear/dense_product.hpp"
#include "kernels/vectors.hpp"

// Products of a few rows with a matrix on a CPU: the matrix is read once, from its beginning to its end, as processors
// fetch memory ahead best. Included once by each variant; `Variant` keeps what it compiles apart from the others'
// copies.

namespace kvtransfer::kernels {

/// What a matrix is multiplied with on a CPU, compiled for one instruction set.
struct dense_cpu_variant {
  /// Writes columns [begin, end) of y.
  using multiply = void (*)(const dense_product& product, std::int64_t begin, std::int64_t end);
  multiply float32;   ///< a matrix of floats
  multiply bfloat16;  ///< a matrix of bfloat16
};

extern const dense_cpu_variant dense_scalar_variant;
extern const dense_cpu_variant dense_avx2_variant;
extern const dense_cpu_variant dense_avx512_variant;

/// The best variant for this machine, held back by ATEN_CPU_CAPABILITY as torch's own kernels are.
const dense_cpu_variant& best_dense_variant();

namespace dense_rows {

using vectors::bfloat16_bits;
using vectors::floats;
using vectors::read;
using vectors::read_one;
using vectors::sum_of;

/// Asks for what stands `bytes_ahead` behind the next `Bytes` of a matrix.
template <int Bytes>
inline void fetch_ahead(const void* from) {
  constexpr int line = 64;
  constexpr int bytes_ahead = 1024;
  for (int byte = 0; byte < Bytes; byte += line) {
    __builtin_prefetch(static_cast<const char*>(from) + bytes_ahead + byte);
  }
}

/// A row of the matrix times a row of x.
template <class Variant, class Element>
inline float dot(const Element* weight, const float* x, std::int64_t count) {
  constexpr int chains = 4;  // sums that don't wait for one another
  constexpr std::int64_t step = chains * Variant::lanes;
  floats<Variant> sums[chains] = {};
  std::int64_t i = 0;
  for (; i + step <= count; i += step) {
    fetch_ahead<step * sizeof(Element)>(weight + i);
    for (int chain = 0; chain < chains; ++chain) {
      floats<Variant> factors;
      floats<Variant> values;
      read<Variant>(x + i + chain * Variant::lanes, factors);
      read<Variant>(weight + i + chain * Variant::lanes, values);
      sums[chain] += factors * values;
    }
  }
  float sum = sum_of<Variant>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; ++i) {
    sum += x[i] * read_one<Variant>(weight + i);
  }
  return sum;
}

/// Columns [out, out + Outs) of `Rows` rows of y: each vector of x is used `Outs` times, each of the matrix `Rows`
/// times.
template <class Variant, int Outs, int Rows, class Element>
inline void multiply_tile(const dense_product& product, std::int64_t out, std::int64_t row) {
  const Element* const weight = static_cast<const Element*>(product.weight) + out * product.in;
  const float* const x = product.x + row * product.in;
  floats<Variant> sums[Outs][Rows] = {};
  std::int64_t i = 0;
  for (; i + Variant::lanes <= product.in; i += Variant::lanes) {
    floats<Variant> values[Outs];
    for (int o = 0; o < Outs; ++o) {
      read<Variant>(weight + o * product.in + i, values[o]);
    }
    for (int r = 0; r < Rows; ++r) {
      floats<Variant> factors;
      read<Variant>(x + r * product.in + i, factors);
      for (int o = 0; o < Outs; ++o) {
        sums[o][r] += factors * values[o];
      }
    }
  }
  for (int o = 0; o < Outs; ++o) {
    for (int r = 0; r < Rows; ++r) {
      float sum = sum_of<Variant>(sums[o][r]);
      for (std::int64_t rest = i; rest < product.in; ++rest) {
        sum += x[r * product.in + rest] * read_one<Variant>(weight + o * product.in + rest);
      }
      product.y[(row + r) * product.out + out + o] = sum;
    }
  }
}

template <class Variant, int Outs, class Element>
inline void multiply_rows(const dense_product& product, std::int64_t out) {
  std::int64_t row = 0;
  for (; row + 4 <= product.rows; row += 4) {
    multiply_tile<Variant, Outs, 4, Element>(product, out, row);
  }
  for (; row < product.rows; ++row) {
    multiply_tile<Variant, Outs, 1, Element>(product, out, row);
  }
}

template <class Variant, class Element>
void multiply(const dense_product& product, std::int64_t begin, std::int64_t end) {
  std::int64_t out = begin;
  for (; product.rows == 1 && out < end; ++out) {
    product.y[out] =
        dot<Variant>(static_cast<const Element*>(product.weight) + out * product.in, product.x, product.in);
  }
  for (; out + 2 <= end; out += 2) {
    multiply_rows<Variant, 2, Element>(product, out);
  }
  for (; out < end; ++out) {
    multiply_rows<Variant, 1, Element>(product, out);
  }
}

}  // namespace dense_rows
}  // namespace kvtransfer::kernels
