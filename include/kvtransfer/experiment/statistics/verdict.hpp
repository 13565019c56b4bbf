#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::statistics {

/// Fewer prompts are never called a result, whatever they show. Below 6 even unanimous prompts cannot reach 5 % in an
/// exact two-sided test (2 · ½ⁿ), below 9 not in a family of ten; at 20, the intervals and tests here keep their errors
/// in simulation (tests/experiment/statistics/simulation_test.cpp), and a single odd prompt moves a rate by 5 points.
inline constexpr std::int64_t minimum_prompts = 20;

/// Fewer templates likewise: a clustered standard error is an average over templates, and rests on too few below.
inline constexpr std::int64_t minimum_clusters = 10;

/// What a comparison shows.
enum class verdict {
  different,   ///< the difference is not 0
  equivalent,  ///< the difference is smaller than the margin
  undecided,   ///< the run cannot tell
};

/// As `summary.json` has it.
[[nodiscard]] std::string_view to_string(verdict value);

/// What a verdict rests on.
struct evidence {
  std::int64_t prompts = 0;   ///< compared
  std::int64_t clusters = 0;  ///< 0: prompts are independent
  double p = 1.0;             ///< of "no difference", adjusted for the family
  interval difference = {};   ///< with confidence 1 − α
  std::optional<double> p_equivalence =
      {};  ///< of "at least as different as the margin", adjusted; none without a margin
};

/// Equivalent where the difference is shown to be smaller than the margin: the margin, fixed before the run, says that
/// smaller ones do not matter, even one that is surely not 0. Else different where p ≤ α and the interval leaves out 0
/// (two tests that may disagree by a hair; a verdict is not to contradict the interval beside it). Else, or with too
/// few prompts or clusters, undecided, which is not "equal".
/// @throws value_error unless 0 < alpha < ½
[[nodiscard]] verdict decide(const evidence& seen, double alpha = default_alpha);

}  // namespace kvtransfer::statistics
