#pragma once

#include "experiment/run/ready_conditions.hpp"
#include "kvtransfer/experiment/factorial_conditions.hpp"

namespace kvtransfer::detail {

/// A factorial without the crossings under which no test of a run can run: they are left out, each with the reason of
/// the first test. A factor of which one level is left is none of this run, which the reason says too, so that the
/// others' effects are estimated without it.
/// @param ready the factorial's conditions
[[nodiscard]] factorial_conditions applicable_crossings(factorial_conditions all,
                                                        const std::vector<ready_condition>& ready, const results& run);

}  // namespace kvtransfer::detail
