#pragma once

#include <string>
#include <string_view>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// The condition that stands in for another as a control: its own where it has one, else the run's of that name. A
/// projection's is `projected_zero:FOLDER` for `projected:FOLDER`, that of files `from_files:DIR+control:zero`.
/// @param name `other_source`, `zero` or `noise`
/// @return an id, whether that ran or not
[[nodiscard]] std::string control_of(const results& run, std::string_view condition, std::string_view name);

}  // namespace kvtransfer::detail
