#pragma once

#include "kvtransfer/experiment/any_condition.hpp"

namespace kvtransfer::detail {

/// A condition under another description.
[[nodiscard]] any_condition described(any_condition condition, condition_description named);

}  // namespace kvtransfer::detail
