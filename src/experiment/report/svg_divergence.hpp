#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// How many of a condition's trials still agree with their reference's tokens.
struct divergence_curve {
  std::string condition;
  std::string reference;
  std::size_t trials = 0;
  std::vector<double> agreeing;  ///< the share that has not differed before step i; the first is 1
};

/// One for each condition that has a reference which ran.
[[nodiscard]] std::vector<divergence_curve> divergence_curves(const results& run);

/// The share that agrees by step, from all to none, as wide as its surroundings.
[[nodiscard]] std::string svg_divergence(const divergence_curve& curve);

}  // namespace kvtransfer::detail
