#pragma once

#include <cstdint>

#include "kernels/linear/dense_product.hpp"
#include "kernels/vectors.hpp"

// Products of a few rows with a matrix on a CPU: the matrix is read once, four of its rows at a time, so that sums
// don't wait for one another and x is read a quarter as often. Included once by each variant; `Variant` keeps what it
// compiles apart from the others' copies.

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
using vectors::lanes;
using vectors::read;
using vectors::read_one;
using vectors::sum_of;

/// Rows [out, out + Count) of the matrix times one row of x.
template <class Variant, int Count, class Element>
inline void multiply_rows(const dense_product& product, std::int64_t out, const float* x, float* y) {
  const Element* const weight = static_cast<const Element*>(product.weight) + out * product.in;
  floats sums[Count] = {};
  std::int64_t i = 0;
  for (; i + lanes <= product.in; i += lanes) {
    floats factors;
    read<Variant>(x + i, factors);
    for (int row = 0; row < Count; ++row) {
      floats values;
      read<Variant>(weight + row * product.in + i, values);
      sums[row] += factors * values;
    }
  }
  for (int row = 0; row < Count; ++row) {
    float sum = sum_of<Variant>(sums[row]);
    for (std::int64_t rest = i; rest < product.in; ++rest) {
      sum += x[rest] * read_one<Variant>(weight + row * product.in + rest);
    }
    y[row] = sum;
  }
}

template <class Variant, class Element>
void multiply(const dense_product& product, std::int64_t begin, std::int64_t end) {
  constexpr int together = 4;
  std::int64_t out = begin;
  for (; out + together <= end; out += together) {
    for (std::int64_t row = 0; row < product.rows; ++row) {
      multiply_rows<Variant, together, Element>(product, out, product.x + row * product.in,
                                                product.y + row * product.out + out);
    }
  }
  for (; out < end; ++out) {
    for (std::int64_t row = 0; row < product.rows; ++row) {
      multiply_rows<Variant, 1, Element>(product, out, product.x + row * product.in,
                                         product.y + row * product.out + out);
    }
  }
}

}  // namespace dense_rows
}  // namespace kvtransfer::kernels
