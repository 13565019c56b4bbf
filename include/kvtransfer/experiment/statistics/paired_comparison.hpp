#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvtransfer/experiment/statistics/equivalence.hpp"
#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/paired_counts.hpp"
#include "kvtransfer/experiment/statistics/sign_flip.hpp"
#include "kvtransfer/experiment/statistics/verdict.hpp"

namespace kvtransfer::statistics {

/// Where an interval and p come from.
enum class method {
  mcnemar,      ///< Newcombe's interval and McNemar's mid-p: successes of independent prompts
  paired_t,     ///< Student's t of one difference a prompt
  clustered_t,  ///< Student's t of one sum a cluster
  none,         ///< one prompt, or one cluster, from which nothing follows
};

/// As `summary.json` has it.
[[nodiscard]] std::string_view to_string(method value);

/// What is compared, fixed before the run.
struct comparison_request {
  std::string a = {};                          ///< a condition's id
  std::string b = {};                          ///< the condition's that it is compared with
  std::string metric = {};                     ///< as in `summary.json`: success, marker_log_prob, …
  metric_scale scale = metric_scale::success;  ///< what the metric's values can be
  std::optional<double> margin = {};           ///< in the metric's unit; none: equivalence is not asked
  double alpha = default_alpha;                ///< intervals have confidence 1 − α
  sign_flip_settings permutation = {};         ///< of the permutation test
};

/// Two conditions on the same prompts: a line of `summary.json`.
struct paired_comparison {
  std::string a;                        ///< as asked for
  std::string b;                        ///< as asked for
  std::string metric;                   ///< as asked for
  std::int64_t n = 0;                   ///< prompts
  std::optional<std::int64_t> both;     ///< prompts on which a and b succeeded, where every value is 0 or 1
  std::optional<std::int64_t> only_a;   ///< likewise, a alone
  std::optional<std::int64_t> only_b;   ///< likewise, b alone
  std::optional<std::int64_t> neither;  ///< likewise, none
  double difference = 0.0;              ///< mean of a − b
  std::optional<double> low;            ///< end of the difference's interval, confidence 1 − α; none by method `none`
  std::optional<double> high;           ///< likewise the other
  double p_exact = 1.0;                 ///< sign flips of prompts or clusters; McNemar's exact test where `method` is
  std::optional<double> p_mid;          ///< McNemar's mid-p, where `method` is
  double p_holm = 1.0;                  ///< `p` adjusted over the family
  std::optional<double> margin;         ///< as asked for
  statistics::verdict verdict =
      statistics::verdict::undecided;  ///< after `adjust_family` the table's, before that this comparison's alone

  statistics::method method = statistics::method::none;  ///< of the interval and `p`
  double p = 1.0;                                        ///< the test that the verdict rests on: mid-p, or t
  std::optional<interval> equivalence_range;             ///< confidence 1 − 2α: equivalent where inside ±margin
  std::optional<double> p_equivalence;                   ///< TOST
  std::optional<double> p_equivalence_holm;              ///< adjusted over the family
  std::optional<double> smallest_effect;  ///< that the run finds with power 0.8 at α over the family's size
  std::optional<mean_estimate> estimate;  ///< where the method is a t
  std::int64_t clusters = 0;              ///< 0: prompts are independent
  double alpha = default_alpha;           ///< as asked for
};

/// Compares a with b, as a family of one. Success by McNemar and Newcombe where every value is 0 or 1 and prompts are
/// independent; by t on smoothed differences of rates (`estimate_mean`) where they are clustered or seeds
/// were averaged; other metrics by t. A cluster for each prompt is no clustering.
/// @param a,b      one value a prompt, in the same order
/// @param clusters empty, or the template of each prompt
/// @throws shape_error if a is empty or lengths are unequal
/// @throws value_error if a value is not finite or not in the scale, a cluster is unknown, or a setting is out of range
[[nodiscard]] paired_comparison compare(const comparison_request& request, std::span<const double> a,
                                        std::span<const double> b, std::span<const std::int64_t> clusters = {});

/// Adjusts the comparisons of one table to one another and decides them anew: Holm over the tests of "no difference",
/// and over those of equivalence. Either kind of claim is then wrong anywhere in the table with probability α at most.
/// Those by method `none` are left out: they test nothing.
void adjust_family(std::span<paired_comparison> family);

}  // namespace kvtransfer::statistics
