#include "kvtransfer/experiment/statistics/holm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::statistics {

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (const std::size_t i : order) {
    if (!(p_values[i] >= 0 && p_values[i] <= 1)) {
      fail<value_error>("holm", fmt::format("p_values[{}]", i), "0 to 1", fmt::format("{}", p_values[i]));
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return p_values[x] < p_values[y]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = static_cast<double>(order.size() - rank) * p_values[order[rank]];
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace kvtransfer::statistics
