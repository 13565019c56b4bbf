#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "experiment/sample_results.hpp"

namespace kvtransfer::test {

/// A finished run of random outcome: between 1 and 60 tests, with and without templates, variants and trials, under a
/// random choice of conditions. The rates of the conditions differ widely, hardly, or not at all.
inline results random_results(std::uint64_t seed) {
  std::mt19937_64 draws(seed);
  const auto below = [&](std::uint64_t bound) { return draws() % bound; };
  const auto happens = [&](double rate) { return static_cast<double>(below(1 << 20)) < rate * (1 << 20); };
  results run = sample_results();
  run.reported_by.clear();
  run.conditions.clear();
  run.tests.clear();
  run.metric = below(3) == 0 ? "stalled" : "success";
  run.settings.trials = below(4) == 0 ? 3 : 1;
  run.settings.margin = below(2) == 0 ? 0.03 : 0.2;
  const std::vector<std::vector<std::string>> variants = {{""}, {""}, {"question", "completion"}};
  const auto& chosen_variants = variants[below(variants.size())];
  const std::uint64_t groups = below(3) == 0 ? 1 + below(24) : 0;
  std::vector<double> rates;
  for (const char* id : {"baseline", "text_oracle", "other_source", "zero", "noise", "transfer"}) {
    if (below(5) != 0) {
      run.conditions.push_back(sample_condition(id, id));
      rates.push_back(below(3) == 0 ? 0.0 : below(3) == 0 ? 1.0 : static_cast<double>(below(101)) / 100);
    }
  }
  if (below(3) == 0) {
    for (const char* id : {"projected:p", "projected_other_source:p"}) {
      run.conditions.push_back(sample_condition(id, id));
      rates.push_back(static_cast<double>(below(101)) / 100);
    }
  }
  const std::uint64_t items = 1 + below(60);
  for (std::uint64_t item = 0; item < items; ++item) {
    for (const std::string& variant : chosen_variants) {
      test_record test;
      test.test.name = "t" + std::to_string(item) + variant;
      test.test.source = "s";
      test.test.target = "q";
      test.test.markers = {"yes"};
      test.test.variant = variant;
      test.test.item = variant.empty() ? "" : "i" + std::to_string(item);
      test.test.group = groups == 0 ? "" : "g" + std::to_string(item % groups);
      for (std::size_t c = 0; c < run.conditions.size(); ++c) {
        condition_record record{run.conditions[c].id, std::nullopt, {}};
        for (std::int64_t trial = 0; trial < run.settings.trials; ++trial) {
          record.trials.push_back(
              sample_trial(test.test, happens(rates[c]) ? "yes" : "no",
                           happens(rates[c]) ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{1, 2, 3, 4}));
          record.trials.back().seed = static_cast<std::uint64_t>(trial);
        }
        test.conditions.push_back(std::move(record));
      }
      run.tests.push_back(std::move(test));
    }
  }
  return run;
}

}  // namespace kvtransfer::test
