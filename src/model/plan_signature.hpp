#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// Plans of one sequence with equal signatures have a model read the same: the same tokens at the same positions,
/// behind the same memory in the same frames. It is that only while the plans it was taken of live.
[[nodiscard]] std::vector<std::int64_t> signature_of(const plan& input);

}  // namespace kvtransfer::detail
