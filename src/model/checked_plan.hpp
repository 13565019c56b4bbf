#pragma once

#include <cstdint>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::detail {

/// A plan of one sequence that a model can run, with what its reading needs to know.
struct checked_plan {
  plan input;
  cache_frame injected;       ///< of its segments, side by side
  std::int64_t slots = 0;     ///< injected ones and tokens in the layer that has the most
  bool layers_alike = true;   ///< whether all layers have the same slots
  bool heads_differ = false;  ///< whether a layer's heads see different slots
};

/// @throws what `session` throws of the plan; shape_error unless it has one sequence
[[nodiscard]] checked_plan checked(const causal_lm& model, plan input);

}  // namespace kvtransfer::detail
