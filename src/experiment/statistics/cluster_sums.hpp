#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace kvtransfer::statistics::detail {

/// The indices of each cluster's members, in the order in which clusters first appear; for no clusters, every index a
/// cluster of its own.
/// @throws shape_error unless `clusters` is empty or holds `count` numbers, value_error if one is negative
[[nodiscard]] std::vector<std::vector<std::size_t>> members_of_clusters(std::string_view where, std::size_t count,
                                                                        std::span<const std::int64_t> clusters);

/// The sum of the values of each cluster.
/// @throws as `members_of_clusters`
[[nodiscard]] std::vector<double> cluster_sums(std::string_view where, std::span<const double> values,
                                               std::span<const std::int64_t> clusters);

}  // namespace kvtransfer::statistics::detail
