#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::test {

inline at::Tensor random_keys(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat, std::uint64_t seed = 7) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions().dtype(at::kDouble))
      .to(dtype);
}

/// Positions in [0, high), int64.
inline at::Tensor random_positions(at::IntArrayRef sizes, std::int64_t high = 1 << 20, std::uint64_t seed = 11) {
  return at::randint(0, high, sizes, at::make_generator<at::CPUGeneratorImpl>(seed),
                     at::TensorOptions().dtype(at::kLong));
}

/// Plain RoPE over `rotary_dim` elements.
inline rotary_specification plain_specification(std::int64_t rotary_dim, double theta = 1e4) {
  rotary_specification specification;
  for (std::int64_t i = 0; i < rotary_dim / 2; ++i) {
    specification.inv_freq.push_back(
        static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim))));
  }
  return specification;
}

/// ‖a − b‖ / ‖b‖ over all elements, in double.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor expected = b.detach().to(at::kDouble);
  const at::Tensor difference = a.detach().to(at::kDouble) - expected;
  return (at::linalg_vector_norm(difference) / at::linalg_vector_norm(expected)).item<double>();
}

/// The largest ‖a − b‖ / ‖b‖ of one head's vector.
inline double worst_relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor expected = b.detach().to(at::kDouble);
  const at::Tensor difference = a.detach().to(at::kDouble) - expected;
  return (at::linalg_vector_norm(difference, 2, -1) / at::linalg_vector_norm(expected, 2, -1)).max().item<double>();
}

}  // namespace kvtransfer::test
