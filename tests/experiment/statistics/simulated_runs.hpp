// Runs whose truth is known, for simulation_test.cpp.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/experiment/statistics/paired_counts.hpp"
#include "random_values.hpp"

namespace kvtransfer::test {

/// Two conditions on the same prompts.
struct simulated_run {
  std::vector<double> differences;
  std::vector<std::int64_t> clusters;
};

/// Prompts of success rates `rate_a` and `rate_b`: a share `agreement` of them draws one number for both conditions, so
/// that they stand or fall together; the others draw two.
inline statistics::paired_counts simulated_counts(random_values& random, std::int64_t prompts, double rate_a,
                                                  double rate_b, double agreement) {
  statistics::paired_counts counts;
  for (std::int64_t i = 0; i < prompts; ++i) {
    const double drawn = random.uniform();
    const bool a = drawn < rate_a;
    const bool b = (random.chance(agreement) ? drawn : random.uniform()) < rate_b;
    ++(a ? (b ? counts.both : counts.only_a) : (b ? counts.only_b : counts.neither));
  }
  return counts;
}

/// How many prompts each of `count` templates has: all `mean`, or growing evenly from 1 to almost twice the mean.
inline std::vector<std::int64_t> cluster_sizes(std::int64_t count, std::int64_t mean, bool balanced) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t c = 0; c < count; ++c) {
    sizes.push_back(balanced ? mean : std::max<std::int64_t>(1, 2 * mean * (c + 1) / (count + 1)));
  }
  return sizes;
}

/// Successes whose rates differ from template to template, each condition's evenly about its mean by up to the share
/// `spread` of the way to 0 or 1.
inline simulated_run clustered_successes(random_values& random, const std::vector<std::int64_t>& sizes, double rate_a,
                                         double rate_b, double spread) {
  simulated_run run;
  const auto rate_near = [&](double rate) { return rate + random.uniform(-1, 1) * spread * std::min(rate, 1 - rate); };
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    const double a = rate_near(rate_a);
    const double b = rate_near(rate_b);
    for (std::int64_t i = 0; i < sizes[c]; ++i) {
      run.differences.push_back((random.chance(a) ? 1.0 : 0.0) - (random.chance(b) ? 1.0 : 0.0));
      run.clusters.push_back(static_cast<std::int64_t>(c));
    }
  }
  return run;
}

/// Normal differences about `mean`: one deviation a template, times `shared`, and one a prompt.
inline simulated_run clustered_normals(random_values& random, const std::vector<std::int64_t>& sizes, double mean,
                                       double shared) {
  simulated_run run;
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    const double of_template = mean + shared * random.normal();
    for (std::int64_t i = 0; i < sizes[c]; ++i) {
      run.differences.push_back(of_template + random.normal());
      run.clusters.push_back(static_cast<std::int64_t>(c));
    }
  }
  return run;
}

}  // namespace kvtransfer::test
