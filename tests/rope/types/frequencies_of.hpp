#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::test {

/// Parameters for heads of 64 elements, base 10,000, trained on 4,096 tokens; `values` adds or replaces.
inline rope::type_parameters type_values(nlohmann::json values) {
  nlohmann::json all = {{"rope_theta", 1e4}, {"original_max_position_embeddings", 1024}};
  if (values.is_object()) {
    all.update(values);
  }
  return {std::move(all), 64, 4096};
}

/// θ^(−2i/64) in double.
inline double plain_frequency(std::size_t pair, double theta = 1e4) {
  return std::pow(theta, -2.0 * static_cast<double>(pair) / 64);
}

/// Whether every frequency is `expected(i)` to fp32's precision.
template <class Expected>
bool frequencies_are(const std::vector<float>& frequencies, Expected&& expected) {
  bool equal = !frequencies.empty();
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double wanted = expected(i);
    equal = equal && std::abs(frequencies[i] - wanted) <= 2e-6 * std::abs(wanted);
  }
  return equal;
}

}  // namespace kvtransfer::test
