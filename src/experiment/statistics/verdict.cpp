#include "kvtransfer/experiment/statistics/verdict.hpp"

#include <fmt/format.h>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::statistics {

std::string_view to_string(verdict value) {
  switch (value) {
    case verdict::different:
      return "different";
    case verdict::equivalent:
      return "equivalent";
    case verdict::undecided:
      break;
  }
  return "undecided";
}

verdict decide(const evidence& seen, double alpha) {
  if (!(alpha > 0 && alpha < 0.5)) {
    fail<value_error>("decide", "alpha", "above 0 and below 0.5", fmt::format("{}", alpha));
  }
  const bool too_few = seen.prompts < minimum_prompts || (seen.clusters > 0 && seen.clusters < minimum_clusters);
  if (too_few) {
    return verdict::undecided;
  }
  if (seen.p_equivalence && *seen.p_equivalence < alpha) {
    return verdict::equivalent;
  }
  return seen.p <= alpha && !seen.difference.holds(0) ? verdict::different : verdict::undecided;
}

}  // namespace kvtransfer::statistics
