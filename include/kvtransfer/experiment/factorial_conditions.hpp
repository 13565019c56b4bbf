#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/left_out_crossing.hpp"

namespace kvtransfer {

/// A coordinate of the space of conditions, and the values of it that are tried.
struct condition_factor {
  std::string name;                 ///< as records call it: `cache`
  std::vector<std::string> levels;  ///< as records call them, in order; the first is what the others are compared with
};

/// All crossings of some factors: a condition each, but for those that are not run.
struct factorial_conditions {
  std::vector<any_condition> conditions;    ///< each with its levels in `describe().factors`
  std::vector<left_out_crossing> left_out;  ///< in the same order
};

/// The factors that there are, for help: `bos:once/second`, …
[[nodiscard]] std::vector<std::string> known_factors();

/// Reads a list of factors: `bos,cache:prompt/generated_eos,position:offset/gap:16`. A name alone has all levels that
/// it is known by; `position`, `keys` and `select` take any policy of that kind as a level, and `select` needs its
/// levels.
/// @throws value_error that shows the place in the list and what would be right there
[[nodiscard]] std::vector<condition_factor> parse_factors(std::string_view list, const condition_registry& known);

/// The full factorial of some factors around `transfer`.
/// @throws value_error where there are more than 512 cells, or a factor is named twice
[[nodiscard]] factorial_conditions full_factorial(const std::vector<condition_factor>& factors,
                                                  const condition_registry& known);

/// Two lists as one, each condition once: of those in both, with the factors of both, the first's levels where both
/// have a factor.
[[nodiscard]] std::vector<any_condition> united(const std::vector<any_condition>& first,
                                                const std::vector<any_condition>& second);

}  // namespace kvtransfer
