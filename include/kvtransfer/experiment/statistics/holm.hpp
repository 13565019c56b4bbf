#pragma once

#include <span>
#include <vector>

namespace kvtransfer::statistics {

/// Holm's adjustment: rejecting where the adjusted p is at most α makes one false rejection among the whole family at
/// most as likely as α, however the tests depend on one another. In the order given; never below the raw p.
/// @throws value_error if a p is not in [0, 1]
/// Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979), 65–70
[[nodiscard]] std::vector<double> holm(std::span<const double> p_values);

}  // namespace kvtransfer::statistics
