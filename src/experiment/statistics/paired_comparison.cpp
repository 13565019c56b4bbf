#include "kvtransfer/experiment/statistics/paired_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.hpp"
#include "kvtransfer/experiment/statistics/holm.hpp"
#include "kvtransfer/experiment/statistics/power.hpp"

namespace kvtransfer::statistics {

namespace {

constexpr const char* in_compare = "compare";

void require_values(const comparison_request& request, const char* name, std::span<const double> values) {
  detail::require_finite(in_compare, name, values);
  for (std::size_t i = 0; i < values.size() && request.scale == metric_scale::success; ++i) {
    if (values[i] < 0 || values[i] > 1) {
      fail<value_error>(in_compare, fmt::format("{}[{}]", name, i), "a success rate, 0 to 1", fmt::format("{}", values[i]));
    }
  }
}

bool all_yes_or_no(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == 0 || value == 1; });
}

paired_counts counts_of(const paired_comparison& row) {
  return {row.both.value(), row.only_a.value(), row.only_b.value(), row.neither.value()};
}

void set_range(paired_comparison& row, const interval& range) {
  row.low = range.low;
  row.high = range.high;
}

void set_equivalence(paired_comparison& row, const equivalence_result& result) {
  row.p_equivalence = result.p;
  row.equivalence_range = result.range;
}

void compare_counts(paired_comparison& row) {
  const paired_counts counts = counts_of(row);
  const mcnemar_result test = mcnemar(counts);
  row.method = method::mcnemar;
  row.p = test.mid;
  row.p_mid = test.mid;
  row.p_exact = test.exact;
  set_range(row, newcombe(counts, 1 - row.alpha));
  if (row.margin) {
    set_equivalence(row, equivalence_test(counts, *row.margin, row.alpha));
  }
}

void compare_means(paired_comparison& row, const comparison_request& request, std::span<const double> differences,
                   std::span<const std::int64_t> clusters) {
  const mean_estimate estimate = estimate_mean(differences, clusters, request.scale);
  row.method = clusters.empty() ? method::paired_t : method::clustered_t;
  row.estimate = estimate;
  row.p = two_sided_p(estimate);
  row.p_exact = sign_flip_test(differences, clusters, request.permutation).p;
  set_range(row, interval_of(estimate, 1 - row.alpha));
  if (row.margin) {
    set_equivalence(row, equivalence_test(estimate, *row.margin, row.alpha));
  }
}

std::optional<double> smallest_effect_of(const paired_comparison& row, double alpha) {
  switch (row.method) {
    case method::mcnemar:
      return smallest_effect(counts_of(row), alpha);
    case method::paired_t:
    case method::clustered_t:
      return smallest_effect(row.estimate.value(), alpha);
    case method::none:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(method value) {
  switch (value) {
    case method::mcnemar:
      return "mcnemar";
    case method::paired_t:
      return "paired_t";
    case method::clustered_t:
      return "clustered_t";
    case method::none:
      break;
  }
  return "none";
}

paired_comparison compare(const comparison_request& request, std::span<const double> a, std::span<const double> b,
                          std::span<const std::int64_t> clusters) {
  if (!(request.alpha > 0 && request.alpha < 0.5)) {
    fail<value_error>(in_compare, "alpha", "above 0 and below 0.5", fmt::format("{}", request.alpha));
  }
  if (request.margin) {
    detail::require_positive(in_compare, "margin", *request.margin);
  }
  require_values(request, "a", a);
  require_values(request, "b", b);
  detail::require_length(in_compare, "b", a.size(), b.size());
  if (!clusters.empty()) {
    detail::require_length(in_compare, "clusters", a.size(), clusters.size());
  }
  const auto n = static_cast<std::int64_t>(a.size());
  const std::int64_t cluster_count = count_clusters(clusters);
  const bool clustered = cluster_count > 0 && cluster_count < n;

  paired_comparison row;
  row.a = request.a;
  row.b = request.b;
  row.metric = request.metric;
  row.n = n;
  row.margin = request.margin;
  row.alpha = request.alpha;
  row.clusters = clustered ? cluster_count : 0;
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  for (const double difference : differences) {
    row.difference += difference / static_cast<double>(n);
  }
  const bool yes_or_no = request.scale == metric_scale::success && all_yes_or_no(a) && all_yes_or_no(b);
  if (yes_or_no) {
    const paired_counts counts = count_pairs(a, b);
    row.difference = counts.difference();
    row.both = counts.both;
    row.only_a = counts.only_a;
    row.only_b = counts.only_b;
    row.neither = counts.neither;
  }
  if (yes_or_no && !clustered) {
    compare_counts(row);
  } else if (n > 1 && cluster_count != 1) {
    compare_means(row, request, differences, clustered ? clusters : std::span<const std::int64_t>{});
  }
  adjust_family({&row, 1});
  return row;
}

void adjust_family(std::span<paired_comparison> family) {
  std::vector<paired_comparison*> tested;
  std::vector<paired_comparison*> equated;
  std::vector<double> p_values;
  std::vector<double> p_equivalences;
  for (paired_comparison& row : family) {
    if (row.method != method::none) {
      tested.push_back(&row);
      p_values.push_back(row.p);
    }
    if (row.p_equivalence) {
      equated.push_back(&row);
      p_equivalences.push_back(*row.p_equivalence);
    }
  }
  const std::vector<double> adjusted = holm(p_values);
  const std::vector<double> adjusted_equivalences = holm(p_equivalences);
  for (std::size_t i = 0; i < equated.size(); ++i) {
    equated[i]->p_equivalence_holm = adjusted_equivalences[i];
  }
  for (std::size_t i = 0; i < tested.size(); ++i) {
    paired_comparison& row = *tested[i];
    row.p_holm = adjusted[i];
    row.smallest_effect = smallest_effect_of(row, row.alpha / static_cast<double>(tested.size()));
    row.verdict = decide({row.n, row.clusters, row.p_holm, {row.low.value(), row.high.value()}, row.p_equivalence_holm},
                         row.alpha);
  }
}

}  // namespace kvtransfer::statistics
