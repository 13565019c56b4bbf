#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// A plan whose sequences read their continuations too, but for the last token, behind which nothing is asked.
/// @param continuations one a sequence, none of them empty
[[nodiscard]] plan with_continuations(plan input, const std::vector<std::vector<std::int64_t>>& continuations);

}  // namespace kvtransfer::detail
