#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/sign_flip.hpp"

namespace kvtransfer::statistics {

/// Most factors of a full crossing: 2^10 cells.
inline constexpr std::size_t most_factors = 10;

/// What switching a factor on does to a metric, or what one factor does to another's effect.
struct factor_effect {
  std::string factor;               ///< the factor switched on
  std::optional<std::string> with;  ///< the other factor of an interaction; none: a main effect
  mean_estimate estimate;           ///< of the effect
  interval range;                   ///< with confidence 0.95
  double p = 1.0;                   ///< paired t, clustered where there are clusters
  double p_sign_flip = 1.0;         ///< the permutation test of the same contrasts
  double p_holm = 1.0;              ///< p adjusted over the effects of this table
};

/// Main effects and two-way interactions of a full 2^k crossing, estimated within each prompt and then tested over
/// prompts. Main effect: mean over A = 1 minus mean over A = 0. Interaction: ½[(x̄₁₁ − x̄₁₀) − (x̄₀₁ − x̄₀₀)], half the
/// change of A's effect when B is switched on; the other factors averaged over. Main effects first, in the factors'
/// order, then interactions (0,1), (0,2), …
/// @param factors the names
/// @param cells   2^k lists of one value a prompt; bit j of a cell's index is the level of factor j
/// @param scale   of the cells' values
/// @param clusters empty, or the template of each prompt
/// @throws shape_error unless there are 2^k lists of one length, at least 2; value_error for no factors, more than
/// `most_factors`, two of one name, values that are not finite, or as `estimate_mean`
[[nodiscard]] std::vector<factor_effect> factorial_effects(std::span<const std::string> factors,
                                                           std::span<const std::vector<double>> cells,
                                                           metric_scale scale,
                                                           std::span<const std::int64_t> clusters = {},
                                                           const sign_flip_settings& permutation = {});

}  // namespace kvtransfer::statistics
