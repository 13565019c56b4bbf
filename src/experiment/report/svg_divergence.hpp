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

/// One line a condition, from all to none.
[[nodiscard]] std::string svg_divergence(const std::vector<divergence_curve>& curves);

}  // namespace kvtransfer::detail
