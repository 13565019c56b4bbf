// Made-up data for tests of statistics: the same on every machine.

#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "experiment/statistics/philox.hpp"

namespace kvtransfer::test {

/// Draws one after another.
class random_values {
 public:
  explicit random_values(std::uint64_t seed) : seed_(seed) {}

  double uniform() { return philox_uniform(seed_, 0, next_++); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool chance(double probability) { return uniform() < probability; }
  std::int64_t below(std::int64_t count) { return static_cast<std::int64_t>(uniform() * static_cast<double>(count)); }
  /// Box and Muller's.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  std::vector<double> normals(std::int64_t count) {
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(normal());
    }
    return values;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

}  // namespace kvtransfer::test
