#pragma once

#include <cstdint>
#include <optional>

#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/paired_counts.hpp"

namespace kvtransfer::statistics {

/// How often a test should see an effect that is there.
inline constexpr double default_power = 0.8;

/// How many prompts a two-sided paired test needs to see `effect`: (z_{1−α/2} + z_power)² · variance / effect².
/// @param variance of one prompt's difference; for success about the share of discordant prompts
/// @throws value_error if effect or variance is not above 0, or alpha or power not between 0 and 1
[[nodiscard]] std::int64_t prompts_to_see(double effect, double variance, double alpha = default_alpha,
                                          double power = default_power);

/// How many prompts TOST needs where there is no difference: (z_{1−α} + z_{(1+power)/2})² · variance / margin².
/// @throws value_error as above
[[nodiscard]] std::int64_t prompts_to_equate(double margin, double variance, double alpha = default_alpha,
                                             double power = default_power);

/// The smallest true mean that a t test of this spread finds with probability `power`: (t_{1−α/2} + t_power) · standard
/// error. It takes the observed spread for the true one.
/// @throws value_error if alpha or power is not between 0 and 1
[[nodiscard]] double smallest_effect(const mean_estimate& estimate, double alpha = default_alpha,
                                     double power = default_power);

/// The probability that McNemar's mid-p test finds a better than b among `prompts`, whose discordant shares are truly
/// `only_a` and `only_b`; summed over the trinomial distribution.
/// @throws value_error unless prompts ≥ 1, 0 ≤ only_b, only_a and their sum is at most 1, and 0 < alpha < 1
[[nodiscard]] double mcnemar_power(std::int64_t prompts, double only_a, double only_b, double alpha = default_alpha);

/// The smallest true difference of rates that McNemar's mid-p test finds with probability `power` among so many
/// prompts. Disagreements both ways are taken to be as frequent as here, with
/// half a prompt added to either side, so that a run without any is not taken for one that can have none. Nothing where
/// even the largest difference would be missed.
/// @throws value_error as `mcnemar`, or if alpha or power is not between 0 and 1
[[nodiscard]] std::optional<double> smallest_effect(const paired_counts& counts, double alpha = default_alpha,
                                                    double power = default_power);

}  // namespace kvtransfer::statistics
