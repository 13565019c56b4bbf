// Whether intervals cover and tests keep their error where the truth is known. Minutes of work, so hidden: run by
// `experiment_tests "[long]"`. Each case prints the figures it checked.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/statistics/equivalence.hpp"
#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/experiment/statistics/paired_counts.hpp"
#include "kvtransfer/experiment/statistics/power.hpp"
#include "kvtransfer/experiment/statistics/recovery.hpp"
#include "kvtransfer/experiment/statistics/sign_flip.hpp"
#include "kvtransfer/experiment/statistics/verdict.hpp"
#include "simulated_runs.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// Rates at which something held, over settings.
class simulated_rates {
 public:
  explicit simulated_rates(std::string name) : name_(std::move(name)) {}

  void add(double rate) { rates_.push_back(rate); }
  void add(std::int64_t held, std::int64_t runs) { add(static_cast<double>(held) / static_cast<double>(runs)); }
  [[nodiscard]] double mean() const {
    double sum = 0;
    for (const double rate : rates_) {
      sum += rate;
    }
    return sum / static_cast<double>(rates_.size());
  }
  [[nodiscard]] double least() const { return *std::min_element(rates_.begin(), rates_.end()); }
  [[nodiscard]] double most() const { return *std::max_element(rates_.begin(), rates_.end()); }

  /// "mean coverage of each interval … within 93–97 %".
  void require_coverage() const {
    print();
    CHECK(mean() >= 0.93);
    CHECK(mean() <= 0.97);
  }
  /// "type I error of each test ≤ 5.5 %", in the worst setting.
  void require_error() const {
    print();
    CHECK(most() <= 0.055);
  }
  void print() const {
    fmt::print("{:<58} {:>3} settings: mean {:.4f}, {:.4f} to {:.4f}\n", name_, rates_.size(), mean(), least(), most());
  }

 private:
  std::string name_;
  std::vector<double> rates_;
};

constexpr double agreements[] = {0.0, 0.5, 0.9};

/// A Monte Carlo test keeps its error whatever the number of draws, if they are few only at a loss of power.
constexpr statistics::sign_flip_settings few_draws{.seed = 1, .draws = 99, .exact_up_to = 0};

void for_each_rate(const std::function<void(double)>& use) {
  for (int twentieth = 1; twentieth <= 19; ++twentieth) {
    use(twentieth / 20.0);
  }
}

std::int64_t count_runs(std::int64_t runs, const std::function<bool()>& holds) {
  std::int64_t held = 0;
  for (std::int64_t i = 0; i < runs; ++i) {
    held += holds() ? 1 : 0;
  }
  return held;
}

/// How often a test errs. The largest of many settings is large by luck too: one that looks so is looked at again, with
/// new and more runs.
double error_rate(const std::function<bool()>& errs) {
  const double first = static_cast<double>(count_runs(5000, errs)) / 5000;
  return first <= 0.05 ? first : static_cast<double>(count_runs(40000, errs)) / 40000;
}

/// 20 templates, as a suite of 400 prompts has them, and smaller and uneven ones.
struct template_setting {
  std::int64_t count;
  std::int64_t mean_size;
  bool balanced;
};
constexpr template_setting template_settings[] = {{20, 4, true}, {20, 4, false}, {20, 20, true}, {20, 20, false}};

}  // namespace

TEST_CASE("intervals of one rate cover it", "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 20000;
  for (const std::int64_t n : {std::int64_t{80}, std::int64_t{400}}) {
    test::random_values random(static_cast<std::uint64_t>(n));
    simulated_rates wilson(fmt::format("Wilson, n = {}", n));
    simulated_rates exact(fmt::format("Clopper-Pearson, n = {}", n));
    std::vector<statistics::interval> wilson_of;
    std::vector<statistics::interval> exact_of;
    for (std::int64_t successes = 0; successes <= n; ++successes) {
      wilson_of.push_back(statistics::wilson({successes, n}));
      exact_of.push_back(statistics::clopper_pearson({successes, n}));
    }
    for_each_rate([&](double rate) {
      std::int64_t in_wilson = 0;
      const std::int64_t in_exact = count_runs(runs, [&] {
        std::size_t successes = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          successes += random.chance(rate) ? 1 : 0;
        }
        in_wilson += wilson_of[successes].holds(rate) ? 1 : 0;
        return exact_of[successes].holds(rate);
      });
      wilson.add(in_wilson, runs);
      exact.add(in_exact, runs);
    });
    wilson.require_coverage();
    exact.require_coverage();
    CHECK(exact.least() >= 0.945);  // never below its confidence, but for the simulation's own error
  }
}

TEST_CASE("Newcombe's interval covers the difference, and McNemar's tests keep their error",
          "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 10000;
  test::random_values random(2);
  for (const std::int64_t n : {std::int64_t{80}, std::int64_t{200}}) {
    simulated_rates coverage(fmt::format("Newcombe, n = {}", n));
    simulated_rates exact(fmt::format("McNemar exact, n = {}", n));
    simulated_rates mid(fmt::format("McNemar mid-p, n = {}, exactly", n));
    simulated_rates equivalence(fmt::format("TOST at the margin of 10 points, n = {}", n));
    for_each_rate([&](double rate) {
      for (const double agreement : agreements) {
        for (const double apart : {0.0, 0.1, 0.3}) {
          const double other = rate + (rate < 0.5 ? apart : -apart);
          std::int64_t by_exact = 0;
          std::int64_t equated = 0;
          const std::int64_t covered = count_runs(runs, [&] {
            const statistics::paired_counts counts = test::simulated_counts(random, n, rate, other, agreement);
            if (apart == 0.0) {
              by_exact += statistics::mcnemar(counts).exact <= 0.05 ? 1 : 0;
            }
            if (apart == 0.1) {
              equated += statistics::equivalence_test(counts, 0.1).equivalent ? 1 : 0;
            }
            return statistics::newcombe(counts).holds(rate - other);
          });
          coverage.add(covered, runs);
          if (apart == 0.0) {
            exact.add(by_exact, runs);
          }
          if (apart == 0.1) {
            equivalence.add(equated, runs);
          }
        }
      }
    });
    // Its error depends on the share of discordant prompts alone: no draws needed, and it comes too close to 5 % for
    // them. Independent conditions of one rate disagree on half of the prompts at most.
    for (int percent = 1; percent <= 90; ++percent) {
      mid.add(2 * statistics::mcnemar_power(n, percent / 200.0, percent / 200.0));
    }
    coverage.require_coverage();
    exact.require_error();
    mid.require_error();
    equivalence.require_error();
  }
}

TEST_CASE("clustered inference on success keeps its confidence and error with 20 templates",
          "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 10000;
  test::random_values random(3);
  for (const template_setting& setting : template_settings) {
    const std::vector<std::int64_t> sizes = test::cluster_sizes(setting.count, setting.mean_size, setting.balanced);
    const std::string name =
        fmt::format("{} {} templates of {}", setting.count, setting.balanced ? "even" : "uneven", setting.mean_size);
    simulated_rates coverage("clustered t, success, " + name);
    simulated_rates error("the same, type I error, " + name);
    simulated_rates equivalence("TOST at the margin of 20 points, " + name);
    simulated_rates flips("sign flips of templates, success, " + name);
    for_each_rate([&](double rate) {
      for (const double spread : {0.0, 1.0}) {
        for (const double apart : {0.0, 0.2}) {
          const double other = rate + (rate < 0.5 ? apart : -apart);
          std::int64_t rejected = 0;
          std::int64_t flipped = 0;
          const std::int64_t covered = count_runs(runs, [&] {
            const test::simulated_run run = test::clustered_successes(random, sizes, rate, other, spread);
            const statistics::mean_estimate estimate =
                statistics::estimate_mean(run.differences, run.clusters, statistics::metric_scale::success);
            if (apart == 0.0) {
              rejected += statistics::two_sided_p(estimate) <= 0.05 ? 1 : 0;
              flipped += statistics::sign_flip_test(run.differences, run.clusters, few_draws).p <= 0.05 ? 1 : 0;
            }
            return statistics::interval_of(estimate).holds(rate - other);
          });
          coverage.add(covered, runs);
          if (apart == 0.0) {
            error.add(rejected, runs);
            flips.add(flipped, runs);
          } else {
            equivalence.add(error_rate([&] {
              const test::simulated_run run = test::clustered_successes(random, sizes, rate, other, spread);
              return statistics::equivalence_test(
                         statistics::estimate_mean(run.differences, run.clusters, statistics::metric_scale::success),
                         0.2)
                  .equivalent;
            }));
          }
        }
      }
    });
    coverage.require_coverage();
    error.require_error();
    flips.require_error();
    equivalence.require_error();
  }
}

TEST_CASE("paired and clustered inference on a continuous metric keeps its confidence and error",
          "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 20000;
  constexpr double margin = 0.3;
  test::random_values random(4);
  for (const template_setting& setting : template_settings) {
    const std::vector<std::int64_t> sizes = test::cluster_sizes(setting.count, setting.mean_size, setting.balanced);
    const std::string name =
        fmt::format("{} {} templates of {}", setting.count, setting.balanced ? "even" : "uneven", setting.mean_size);
    simulated_rates coverage("clustered t, " + name);
    simulated_rates error("the same, type I error, " + name);
    simulated_rates equivalence("TOST at the margin, " + name);
    simulated_rates plain("paired t where prompts are independent, " + name);
    for (const double shared : {0.0, 0.3, 1.0}) {
      std::int64_t rejected = 0;
      std::int64_t equated = 0;
      std::int64_t plainly = 0;
      const std::int64_t covered = count_runs(runs, [&] {
        test::simulated_run run = test::clustered_normals(random, sizes, 0.0, shared);
        const statistics::mean_estimate estimate = statistics::estimate_mean(run.differences, run.clusters);
        rejected += statistics::two_sided_p(estimate) <= 0.05 ? 1 : 0;
        plainly += statistics::two_sided_p(statistics::estimate_mean(run.differences)) <= 0.05 ? 1 : 0;
        statistics::mean_estimate at_margin = estimate;
        at_margin.mean += margin;
        equated += statistics::equivalence_test(at_margin, margin).p < 0.05 ? 1 : 0;
        return statistics::interval_of(estimate).holds(0);
      });
      coverage.add(covered, runs);
      error.add(rejected, runs);
      equivalence.add(equated, runs);
      if (shared == 0.0) {
        plain.add(plainly, runs);
      } else if (setting.mean_size > 4) {
        CHECK(static_cast<double>(plainly) / runs > 0.1);  // what ignoring templates would do
      }
    }
    coverage.require_coverage();
    error.require_error();
    equivalence.require_error();
    plain.require_error();
  }
}

TEST_CASE("sign flips keep their error on skewless differences, counted and drawn",
          "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 4000;
  test::random_values random(5);
  simulated_rates counted("sign flips, all counted, n = 20");
  simulated_rates drawn("sign flips, 999 drawn, n = 80");
  const auto error_of = [&](std::int64_t n, const statistics::sign_flip_settings& settings) {
    return count_runs(runs, [&] {
      std::vector<double> values = random.normals(n);
      for (double& value : values) {
        value *= value * value;  // heavy tails, where t is off
      }
      return statistics::sign_flip_test(values, {}, settings).p <= 0.05;
    });
  };
  counted.add(error_of(20, {}), runs);
  drawn.add(error_of(80, {.seed = 1, .draws = 999}), runs);
  counted.require_error();
  drawn.require_error();
}

TEST_CASE("the bootstrap interval covers the recovered share", "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 1500;
  constexpr std::int64_t n = 80;
  test::random_values random(6);
  simulated_rates coverage("recovered share by BCa, n = 80");
  std::int64_t seed = 0;
  for (const double share : {0.1, 0.5, 0.9}) {
    for (const double noise : {0.2, 1.0}) {
      std::int64_t given = 0;
      const std::int64_t covered = count_runs(runs, [&] {
        std::vector<double> none(n);
        std::vector<double> other(n);
        std::vector<double> current(n);
        std::vector<double> oracle(n);
        for (std::size_t i = 0; i < n; ++i) {
          const double possible = -std::log(1 - random.uniform());  // skewed, mean 1
          other[i] = random.normal();
          oracle[i] = other[i] + possible;
          current[i] = other[i] + share * possible + noise * random.normal();
        }
        const statistics::recovery found =
            statistics::recover({none, other, current, oracle}, statistics::metric_scale::continuous, {},
                                {.seed = static_cast<std::uint64_t>(++seed), .draws = 999});
        given += found.share ? 1 : 0;
        return found.share && found.share->range.holds(share);
      });
      CHECK(given == runs);
      coverage.add(covered, runs);
    }
  }
  coverage.require_coverage();
}

TEST_CASE("the fewest prompts and templates that a verdict may rest on keep the error",
          "[.][long][experiment][statistics]") {
  constexpr std::int64_t runs = 10000;
  test::random_values random(7);
  simulated_rates coverage("Newcombe, fewest prompts");
  simulated_rates mid("McNemar mid-p, fewest prompts");
  simulated_rates error("clustered t, fewest templates of 2");
  for_each_rate([&](double rate) {
    for (const double agreement : agreements) {
      std::int64_t by_mid = 0;
      const std::int64_t covered = count_runs(runs, [&] {
        const statistics::paired_counts counts =
            test::simulated_counts(random, statistics::minimum_prompts, rate, rate, agreement);
        by_mid += statistics::mcnemar(counts).mid <= 0.05 ? 1 : 0;
        return statistics::newcombe(counts).holds(0);
      });
      coverage.add(covered, runs);
      mid.add(by_mid, runs);
    }
    for (const bool balanced : {true, false}) {
      const std::vector<std::int64_t> sizes = test::cluster_sizes(statistics::minimum_clusters, 2, balanced);
      error.add(count_runs(runs,
                           [&] {
                             const test::simulated_run run = test::clustered_successes(random, sizes, rate, rate, 1.0);
                             return statistics::two_sided_p(statistics::estimate_mean(
                                        run.differences, run.clusters, statistics::metric_scale::success)) <= 0.05;
                           }),
                runs);
    }
  });
  coverage.print();
  CHECK(coverage.least() >= 0.93);
  mid.require_error();
  error.require_error();
}
