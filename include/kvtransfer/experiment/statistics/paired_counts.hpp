#pragma once

#include <cstdint>
#include <span>

#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::statistics {

/// Prompts by whether condition a, condition b, both or neither succeeded. The unit is the prompt.
struct paired_counts {
  std::int64_t both = 0;     ///< prompts on which a and b succeeded
  std::int64_t only_a = 0;   ///< prompts on which a alone did
  std::int64_t only_b = 0;   ///< prompts on which b alone did
  std::int64_t neither = 0;  ///< prompts on which neither did

  /// How many prompts there are.
  [[nodiscard]] constexpr std::int64_t prompts() const { return both + only_a + only_b + neither; }
  /// Prompts that tell a and b apart.
  [[nodiscard]] constexpr std::int64_t discordant() const { return only_a + only_b; }
  /// (only_a − only_b) / n, which is the rate of a minus the rate of b; 0 for no prompts.
  [[nodiscard]] constexpr double difference() const {
    return prompts() == 0 ? 0.0 : static_cast<double>(only_a - only_b) / static_cast<double>(prompts());
  }
  /// The same prompts with a and b exchanged.
  [[nodiscard]] constexpr paired_counts swapped() const { return {both, only_b, only_a, neither}; }

  friend bool operator==(const paired_counts&, const paired_counts&) = default;
};

/// @param a,b one value a prompt, in the same order: 1 where the condition succeeded, else 0
/// @throws shape_error if they are empty or of unequal length
/// @throws value_error if a value is neither 0 nor 1
[[nodiscard]] paired_counts count_pairs(std::span<const double> a, std::span<const double> b);

/// Two-sided p values of "a and b succeed equally often". The one to report is mid-p, which leaves out half of the
/// observed outcome's probability: at 5 % it rejects a true hypothesis in 5.0 % of runs at most, or 5.7 % where over 90
/// % of the prompts are discordant. The exact one never exceeds its level and mostly stays far below.
struct mcnemar_result {
  double exact = 1.0;  ///< never below `mid`
  double mid = 1.0;    ///< the one to report
};

/// McNemar's test on the discordant prompts, which are fair coins if a and b succeed equally often. Both are 1 where
/// only_a = only_b, none included: nothing could be less surprising.
/// @throws value_error if a count is negative
/// Source: M. W. Fagerland, S. Lydersen & P. Laake, BMC Med. Res. Methodol. 13:91 (2013)
[[nodiscard]] mcnemar_result mcnemar(const paired_counts& counts);

/// Newcombe's interval of the difference: Wilson's of either rate, joined with their correlation (his method 10). It
/// does not collapse where no prompt is discordant.
/// @throws value_error if a count is negative, there are no prompts, or confidence is not between 0 and 1
/// Source: R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
/// paired data", Stat. Med. 17 (1998), 2635–2650
[[nodiscard]] interval newcombe(const paired_counts& counts, double confidence = default_confidence);

}  // namespace kvtransfer::statistics
