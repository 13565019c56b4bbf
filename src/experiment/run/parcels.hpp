#pragma once

#include <cstdint>
#include <vector>

#include "experiment/run/cell.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer::detail {

/// Most trials, and most tests, of a parcel: continued prompts and oracles of so many are kept at a time.
inline constexpr std::int64_t most_cells_of_parcel = 1024;
inline constexpr std::int64_t most_tests_of_parcel = 16;

/// Cuts what waits into parcels, each taken by one process and decoded together. The processes get equal shares: a step
/// costs about the same for few sequences as for many, so that small parcels would only add steps. Trials of a test
/// under a condition begin alike, so they stay together where they are no more than a share.
/// @param waiting in the run's order
/// @param processes that take parcels, 1 or more
/// @return consecutive ranges that make up all of `waiting`
[[nodiscard]] std::vector<slot_range> parcels_of(const std::vector<cell>& waiting, std::int64_t processes);

}  // namespace kvtransfer::detail
