#include "kvtransfer/experiment/statistics/paired_counts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "checks.hpp"
#include "distributions.hpp"

namespace kvtransfer::statistics {

namespace {

void require_table(const char* where, const paired_counts& counts) {
  if (std::min({counts.both, counts.only_a, counts.only_b, counts.neither}) < 0) {
    fail<value_error>(where, "counts", "0 or more",
                      fmt::format("both {}, only_a {}, only_b {}, neither {}", counts.both, counts.only_a,
                                  counts.only_b, counts.neither));
  }
}

bool is_success(const char* name, std::size_t i, double value) {
  if (value != 0 && value != 1) {
    fail<value_error>("count_pairs", fmt::format("{}[{}]", name, i), "0 or 1", fmt::format("{}", value));
  }
  return value == 1;
}

/// Correlation of the two outcomes, drawn towards 0 where positive; 0 where an outcome never varies.
double newcombe_correlation(double both, double only_a, double only_b, double neither) {
  const double product = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither);
  if (product == 0) {
    return 0;
  }
  const double cross = both * neither - only_a * only_b;
  const double half = (both + only_a + only_b + neither) / 2;
  return (cross > 0 ? std::max(cross - half, 0.0) : cross) / std::sqrt(product);
}

}  // namespace

paired_counts count_pairs(std::span<const double> a, std::span<const double> b) {
  require<shape_error>(!a.empty(), "count_pairs", "a", "1 or more values", "0");
  detail::require_length("count_pairs", "b", a.size(), b.size());
  paired_counts counts;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool in_a = is_success("a", i, a[i]);
    const bool in_b = is_success("b", i, b[i]);
    ++(in_a ? (in_b ? counts.both : counts.only_a) : (in_b ? counts.only_b : counts.neither));
  }
  return counts;
}

mcnemar_result mcnemar(const paired_counts& counts) {
  require_table("mcnemar", counts);
  if (counts.only_a == counts.only_b) {
    return {};
  }
  const double discordant = static_cast<double>(counts.discordant());
  const double fewer = static_cast<double>(std::min(counts.only_a, counts.only_b));
  const double exact = std::min(1.0, 2 * detail::binomial_cdf(discordant, 0.5, fewer));
  return {exact, exact - detail::binomial_pmf(discordant, 0.5, fewer)};
}

interval newcombe(const paired_counts& counts, double confidence) {
  require_table("newcombe", counts);
  const std::int64_t n = counts.prompts();
  require<value_error>(n > 0, "newcombe", "prompts", "1 or more", "0");
  const proportion of_a{counts.both + counts.only_a, n};
  const proportion of_b{counts.both + counts.only_b, n};
  const interval a = wilson(of_a, confidence);
  const interval b = wilson(of_b, confidence);
  const auto real = [](std::int64_t count) { return static_cast<double>(count); };
  const double correlation =
      newcombe_correlation(real(counts.both), real(counts.only_a), real(counts.only_b), real(counts.neither));
  const auto joined = [&](double of_one, double of_other) {
    return std::sqrt(std::max(0.0, of_one * of_one - 2 * correlation * of_one * of_other + of_other * of_other));
  };
  const double difference = counts.difference();
  return {difference - joined(of_a.rate() - a.low, b.high - of_b.rate()),
          difference + joined(a.high - of_a.rate(), of_b.rate() - b.low)};
}

}  // namespace kvtransfer::statistics
