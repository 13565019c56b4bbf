#pragma once

#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/paired_counts.hpp"

namespace kvtransfer::statistics {

/// The margin of a success rate's difference unless the run's settings say otherwise: 3 points.
inline constexpr double default_margin = 0.03;

/// Two one-sided tests of "the difference is at least as large as the margin".
struct equivalence_result {
  double p = 1.0;           ///< the larger one-sided p
  interval range;           ///< with confidence 1 − 2α
  bool equivalent = false;  ///< p < α; then `range` lies inside (−margin, margin)
};

/// TOST on a mean, by Student's t. On differences of success, skewed where one rate is near 0 or 1, the deviation from
/// the margin is by its spread about the margin (a score test) and that of the mean itself: by the spread about the
/// mean, rates that are a margin apart pass in up to 7.1 % of simulated runs of 20 templates, at α = 5 %.
/// @param margin fixed before the run, in the metric's unit
/// @throws value_error unless margin > 0 and 0 < alpha < ½
/// Source: D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), 657–680
[[nodiscard]] equivalence_result equivalence_test(const mean_estimate& estimate, double margin,
                                                  double alpha = default_alpha);

/// TOST on two success rates. Equivalent where Newcombe's 1 − 2α interval lies inside the margin and the score test
/// against either end of it agrees; p is the larger of theirs, 1 where the difference itself is not inside. By the
/// interval alone, rates that are a margin apart pass in up to 6.2 % of simulated runs at α = 5 %, since its two sides
/// err unequally.
/// @param margin below 1
/// @throws value_error as above, and as `newcombe`
/// Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
/// design", Stat. Med. 17 (1998), 891–908
[[nodiscard]] equivalence_result equivalence_test(const paired_counts& counts, double margin,
                                                  double alpha = default_alpha);

}  // namespace kvtransfer::statistics
