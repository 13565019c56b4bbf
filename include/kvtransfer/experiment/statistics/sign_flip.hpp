#pragma once

#include <cstdint>
#include <span>

namespace kvtransfer::statistics {

/// Up to so many units that differ, every assignment of signs is counted: 2 · 2^16 half sums, sorted and matched.
inline constexpr std::int64_t most_units_flipped_exactly = 32;

/// How assignments of signs are gone through.
struct sign_flip_settings {
  std::uint64_t seed = 0;      ///< of the draws, where they are drawn
  std::int64_t draws = 19999;  ///< of assignments of signs, where there are too many to count them all
  std::int64_t exact_up_to = most_units_flipped_exactly;  ///< units; at most `most_units_flipped_exactly`
};

/// What the permutation test found.
struct sign_flip_result {
  double p = 1.0;     ///< two-sided
  bool exact = true;  ///< every assignment counted; else the share among draws, the observed one counted in
};

/// Permutation test of paired differences: had a and b been exchangeable, each prompt's difference could as well have
/// had the other sign. p is the share of assignments whose |mean| is at least the observed one. Clusters flip as a
/// whole. For differences in {−1, 0, 1} without clusters it equals McNemar's exact test.
/// @param clusters empty, or the template of each prompt
/// @throws shape_error if empty or of unequal lengths
/// @throws value_error if a value is not finite, a cluster is unknown, or a setting is out of range
/// Source: R. A. Fisher, The Design of Experiments (1935), section 21; draws + 1: B. Phipson & G. K. Smyth, Stat. Appl.
/// Genet. Mol. Biol. 9 (2010)
[[nodiscard]] sign_flip_result sign_flip_test(std::span<const double> differences,
                                              std::span<const std::int64_t> clusters = {},
                                              const sign_flip_settings& settings = {});

}  // namespace kvtransfer::statistics
