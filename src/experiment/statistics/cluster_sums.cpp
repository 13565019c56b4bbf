#include "cluster_sums.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "checks.hpp"

namespace kvtransfer::statistics::detail {

std::vector<std::vector<std::size_t>> members_of_clusters(std::string_view where, std::size_t count,
                                                          std::span<const std::int64_t> clusters) {
  std::vector<std::vector<std::size_t>> members;
  if (clusters.empty()) {
    for (std::size_t i = 0; i < count; ++i) {
      members.push_back({i});
    }
    return members;
  }
  require_length(where, "clusters", count, clusters.size());
  std::unordered_map<std::int64_t, std::size_t> index_of;
  for (std::size_t i = 0; i < count; ++i) {
    if (clusters[i] < 0) {
      fail<value_error>(where, fmt::format("clusters[{}]", i), "a known cluster, 0 or above",
                        fmt::format("{}", clusters[i]));
    }
    const auto [found, is_new] = index_of.try_emplace(clusters[i], members.size());
    if (is_new) {
      members.emplace_back();
    }
    members[found->second].push_back(i);
  }
  return members;
}

std::vector<double> cluster_sums(std::string_view where, std::span<const double> values,
                                 std::span<const std::int64_t> clusters) {
  std::vector<double> sums;
  for (const std::vector<std::size_t>& members : members_of_clusters(where, values.size(), clusters)) {
    double sum = 0;
    for (const std::size_t i : members) {
      sum += values[i];
    }
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace kvtransfer::statistics::detail
