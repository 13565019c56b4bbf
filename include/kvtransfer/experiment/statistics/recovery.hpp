#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "kvtransfer/experiment/statistics/mean_estimate.hpp"

namespace kvtransfer::statistics {

/// Confidence at which oracle − other must differ from 0 for a share of it to be given. Stricter than an interval's,
/// for then fewer than one resample in a thousand has a denominator about 0: too few to reach the share's own 2.5 %
/// ends.
inline constexpr double clear_denominator_confidence = 0.999;

/// How the share's interval is resampled.
struct bootstrap_settings {
  std::uint64_t seed = 0;     ///< of the resamples
  std::int64_t draws = 9999;  ///< resamples
};

/// A share of what there was to recover, with its bootstrap interval (confidence 0.95).
struct recovered_share {
  double share = 0.0;  ///< may lie outside [0, 1]
  interval range;      ///< confidence 0.95
};

/// How much of a cache's effect is its content, and how much any cache in that place would do.
struct recovery {
  mean_estimate presence;                ///< other − none: what another example's cache does
  mean_estimate content;                 ///< current − other: what this one does beyond
  mean_estimate possible;                ///< oracle − other: what the text itself does beyond
  std::optional<recovered_share> share;  ///< content / possible; none where `possible` is not clearly apart from 0
};

/// One value a prompt for each condition: nothing injected, another example's cache, this one's, and the text itself.
struct recovery_values {
  std::span<const double> none;     ///< nothing injected
  std::span<const double> other;    ///< another example's cache
  std::span<const double> current;  ///< this example's cache
  std::span<const double> oracle;   ///< the text itself
};

/// Prompts (or clusters) are resampled as a whole, so numerator and denominator stay paired. The interval is BCa: a
/// ratio's distribution is skewed and its estimate biased, which percentile intervals take over unchanged. It says
/// nothing of what no prompt showed: where current equals the oracle on each prompt it is [1, 1], and only the
/// comparison of the two, with its margin, bounds what might have been missed.
/// @param clusters empty, or the template of each prompt
/// @throws shape_error for fewer than 2 prompts or unequal lengths
/// @throws value_error if a value is not finite, a cluster is unknown, or there are no draws
/// Source: B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987), 171–185
[[nodiscard]] recovery recover(const recovery_values& values, metric_scale scale,
                               std::span<const std::int64_t> clusters = {}, const bootstrap_settings& settings = {});

}  // namespace kvtransfer::statistics
