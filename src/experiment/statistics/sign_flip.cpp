#include "kvtransfer/experiment/statistics/sign_flip.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "checks.hpp"
#include "cluster_sums.hpp"
#include "experiment/statistics/philox.hpp"

namespace kvtransfer::statistics {

namespace {

/// The sums of ±x over every assignment of signs.
std::vector<double> signed_sums(std::span<const double> values) {
  std::vector<double> sums{0.0};
  for (const double value : values) {
    const std::size_t count = sums.size();
    sums.resize(2 * count);
    for (std::size_t i = 0; i < count; ++i) {
      sums[count + i] = sums[i] - value;
      sums[i] += value;
    }
  }
  return sums;
}

/// The share of all assignments whose |sum| reaches `threshold`: for each sum of one half, those of the other half that
/// take it there are the ends of a sorted list.
double exact_share(std::span<const double> values, double threshold) {
  const std::size_t half = values.size() / 2;
  const std::vector<double> left = signed_sums(values.first(half));
  std::vector<double> right = signed_sums(values.subspan(half));
  std::sort(right.begin(), right.end());
  std::int64_t reached = 0;
  for (const double sum : left) {
    reached += right.end() - std::lower_bound(right.begin(), right.end(), threshold - sum);
    reached += std::upper_bound(right.begin(), right.end(), -threshold - sum) - right.begin();
  }
  return static_cast<double>(reached) / static_cast<double>(left.size()) / static_cast<double>(right.size());
}

double signed_sum(std::span<const double> values, std::uint64_t seed, std::uint64_t draw) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); i += 128) {
    const auto bits = philox(seed, draw, i / 128);
    const std::size_t end = std::min(values.size(), i + 128);
    for (std::size_t k = i; k < end; ++k) {
      const std::size_t bit = k - i;
      sum += (bits[bit / 32] >> (bit % 32)) & 1U ? values[k] : -values[k];
    }
  }
  return sum;
}

double drawn_share(std::span<const double> values, double threshold, const sign_flip_settings& settings) {
  std::int64_t reached = 1;  // the observed assignment is one of those that could have been
  for (std::int64_t draw = 0; draw < settings.draws; ++draw) {
    reached += std::abs(signed_sum(values, settings.seed, static_cast<std::uint64_t>(draw))) >= threshold ? 1 : 0;
  }
  return static_cast<double>(reached) / static_cast<double>(settings.draws + 1);
}

}  // namespace

sign_flip_result sign_flip_test(std::span<const double> differences, std::span<const std::int64_t> clusters,
                                const sign_flip_settings& settings) {
  constexpr const char* where = "sign_flip_test";
  detail::require_finite(where, "differences", differences);
  if (settings.draws < 1) {
    fail<value_error>(where, "draws", "1 or more", fmt::format("{}", settings.draws));
  }
  if (settings.exact_up_to < 0 || settings.exact_up_to > most_units_flipped_exactly) {
    fail<value_error>(where, "exact_up_to", fmt::format("0 to {}", most_units_flipped_exactly),
                      fmt::format("{}", settings.exact_up_to));
  }
  std::vector<double> sums = detail::cluster_sums(where, differences, clusters);
  std::erase(sums, 0.0);  // flipping nothing changes nothing
  double scale = 0;
  for (const double sum : sums) {
    scale += std::abs(sum);
  }
  // Sums that are equal on paper may differ by rounding, and must count as reached.
  const double threshold = std::abs(std::accumulate(sums.begin(), sums.end(), 0.0)) - 1e-12 * scale;
  if (threshold <= 0) {
    return {};
  }
  const bool exact = static_cast<std::int64_t>(sums.size()) <= settings.exact_up_to;
  return {exact ? exact_share(sums, threshold) : drawn_share(sums, threshold, settings), exact};
}

}  // namespace kvtransfer::statistics
