#include "kvtransfer/experiment/statistics/paired_comparison.hpp"

#include <limits>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/statistics/power.hpp"
#include "random_values.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::Approx;
using statistics::compare;
using statistics::comparison_request;
using statistics::method;
using statistics::metric_scale;
using statistics::paired_comparison;
using statistics::verdict;

namespace {

struct outcomes {
  std::vector<double> a;
  std::vector<double> b;
};

outcomes outcomes_of(const statistics::paired_counts& counts) {
  outcomes made;
  const auto add = [&](std::int64_t count, double a, double b) {
    made.a.insert(made.a.end(), static_cast<std::size_t>(count), a);
    made.b.insert(made.b.end(), static_cast<std::size_t>(count), b);
  };
  add(counts.both, 1, 1);
  add(counts.only_a, 1, 0);
  add(counts.only_b, 0, 1);
  add(counts.neither, 0, 0);
  return made;
}

comparison_request success_request() {
  return {.a = "transfer", .b = "text_oracle", .metric = "success", .margin = 0.03};
}

paired_comparison compare_counts(const statistics::paired_counts& counts) {
  const outcomes made = outcomes_of(counts);
  return compare(success_request(), made.a, made.b);
}

}  // namespace

TEST_CASE("a comparison of successes is McNemar's and Newcombe's", "[experiment][statistics]") {
  const statistics::paired_counts counts{36, 12, 2, 0};
  const paired_comparison row = compare_counts(counts);
  CHECK(row.a == "transfer");
  CHECK(row.b == "text_oracle");
  CHECK(row.metric == "success");
  CHECK(row.n == 50);
  CHECK(row.both == 36);
  CHECK(row.only_a == 12);
  CHECK(row.only_b == 2);
  CHECK(row.neither == 0);
  CHECK(row.difference == Approx(0.2));
  CHECK(row.low == statistics::newcombe(counts).low);
  CHECK(row.high == statistics::newcombe(counts).high);
  CHECK(row.p_exact == statistics::mcnemar(counts).exact);
  CHECK(row.p_mid == statistics::mcnemar(counts).mid);
  CHECK(row.p == row.p_mid);
  CHECK(row.p_holm == row.p);
  CHECK(row.margin == 0.03);
  CHECK(row.method == method::mcnemar);
  CHECK(row.smallest_effect == statistics::smallest_effect(counts));
  CHECK(row.verdict == verdict::different);
}

TEST_CASE("the three verdicts come out as the run deserves", "[experiment][statistics]") {
  CHECK(compare_counts({300, 0, 0, 100}).verdict == verdict::equivalent);
  CHECK(compare_counts({30, 0, 0, 10}).verdict == verdict::undecided);
  CHECK(compare_counts({100, 90, 10, 200}).verdict == verdict::different);
  CHECK(compare_counts({100, 12, 10, 200}).verdict == verdict::undecided);
  CHECK(compare_counts({0, 5, 0, 0}).verdict == verdict::undecided);
  CHECK(compare_counts({0, 19, 0, 0}).verdict == verdict::undecided);
  CHECK(compare_counts({0, 20, 0, 0}).verdict == verdict::different);
}

TEST_CASE("exchanging the conditions mirrors a comparison", "[experiment][statistics]") {
  test::random_values random(1);
  for (int i = 0; i < 60; ++i) {
    outcomes made;
    std::vector<std::int64_t> clusters;
    for (int k = 0; k < 60; ++k) {
      made.a.push_back(random.chance(0.6) ? 1 : 0);
      made.b.push_back(random.chance(0.4) ? 1 : 0);
      clusters.push_back(k / 5);
    }
    for (const bool clustered : {false, true}) {
      const std::vector<std::int64_t> used = clustered ? clusters : std::vector<std::int64_t>{};
      const paired_comparison row = compare(success_request(), made.a, made.b, used);
      const paired_comparison swapped = compare(success_request(), made.b, made.a, used);
      CHECK(row.difference == Approx(-swapped.difference));
      CHECK(row.low.value() == Approx(-swapped.high.value()));
      CHECK(row.high.value() == Approx(-swapped.low.value()));
      CHECK(row.p == Approx(swapped.p));
      CHECK(row.p_exact == Approx(swapped.p_exact));
      CHECK(row.p_equivalence.value() == Approx(swapped.p_equivalence.value()));
      CHECK(row.verdict == swapped.verdict);
      CHECK((row.verdict != verdict::different || row.low.value() > 0 || row.high.value() < 0));
      CHECK((row.low.value() <= row.difference && row.difference <= row.high.value()));
    }
  }
}

TEST_CASE("templates that stand or fall together make a comparison less sure", "[experiment][statistics]") {
  outcomes made;
  std::vector<std::int64_t> clusters;
  for (std::int64_t c = 0; c < 20; ++c) {
    for (int i = 0; i < 20; ++i) {
      made.a.push_back(c < 12 ? 1 : 0);
      made.b.push_back(c >= 6 && c < 14 ? 1 : 0);
      clusters.push_back(c);
    }
  }
  const paired_comparison plain = compare(success_request(), made.a, made.b);
  const paired_comparison clustered = compare(success_request(), made.a, made.b, clusters);
  CHECK(plain.verdict == verdict::different);
  CHECK(clustered.method == method::clustered_t);
  CHECK(clustered.clusters == 20);
  CHECK(clustered.only_a == plain.only_a);
  CHECK(clustered.difference == plain.difference);
  CHECK_FALSE(clustered.p_mid);
  CHECK(clustered.p_exact == Approx(statistics::mcnemar({0, 6, 2, 0}).exact));
  CHECK(clustered.verdict == verdict::undecided);
  CHECK(clustered.smallest_effect.value() > 2 * plain.smallest_effect.value());
}

TEST_CASE("a template for each prompt is no clustering", "[experiment][statistics]") {
  const outcomes made = outcomes_of({20, 8, 1, 11});
  std::vector<std::int64_t> own;
  for (std::size_t i = 0; i < made.a.size(); ++i) {
    own.push_back(static_cast<std::int64_t>(i));
  }
  const paired_comparison row = compare(success_request(), made.a, made.b, own);
  CHECK(row.method == method::mcnemar);
  CHECK(row.clusters == 0);
  CHECK(row.low == compare(success_request(), made.a, made.b).low);
}

TEST_CASE("averaged seeds and continuous metrics go by t", "[experiment][statistics]") {
  test::random_values random(2);
  outcomes rates;
  outcomes log_probs;
  for (int i = 0; i < 50; ++i) {
    rates.a.push_back(static_cast<double>(random.below(4)) / 3);
    rates.b.push_back(static_cast<double>(random.below(4)) / 3);
    log_probs.b.push_back(-5 + random.normal());
    log_probs.a.push_back(log_probs.b.back() + 1 + 0.3 * random.normal());
  }
  const paired_comparison of_rates = compare(success_request(), rates.a, rates.b);
  CHECK(of_rates.method == method::paired_t);
  CHECK_FALSE(of_rates.both);
  CHECK_FALSE(of_rates.p_mid);

  const comparison_request request{
      .a = "transfer", .b = "zero", .metric = "marker_log_prob", .scale = metric_scale::continuous};
  const paired_comparison row = compare(request, log_probs.a, log_probs.b);
  CHECK(row.method == method::paired_t);
  CHECK(row.difference == Approx(row.estimate.value().mean));
  CHECK(row.difference == Approx(1).margin(0.2));
  CHECK(row.low == statistics::interval_of(*row.estimate).low);
  CHECK_FALSE(row.both);
  CHECK_FALSE(row.margin);
  CHECK_FALSE(row.p_equivalence);
  CHECK(row.p_exact < 0.001);
  CHECK(row.verdict == verdict::different);
}

TEST_CASE("a family is adjusted as a whole, without the comparisons that test nothing", "[experiment][statistics]") {
  std::vector<paired_comparison> family{compare_counts({300, 0, 0, 100}), compare_counts({200, 16, 5, 179}),
                                        compare_counts({100, 90, 10, 200}), compare_counts({200, 15, 5, 180})};
  const std::vector<double> one{0.5};
  family.push_back(compare(success_request(), one, one));
  CHECK(family[1].verdict == verdict::different);
  CHECK(family[4].method == method::none);
  const double alone = family[1].smallest_effect.value();
  statistics::adjust_family(family);
  CHECK(family[2].p_holm == Approx(4 * family[2].p));
  CHECK(family[1].p_holm == Approx(3 * family[1].p));
  CHECK(family[3].p_holm == Approx(std::max(2 * family[3].p, 3 * family[1].p)));
  CHECK(family[0].p_holm == 1.0);
  CHECK(family[1].verdict == verdict::undecided);
  CHECK(family[2].verdict == verdict::different);
  CHECK(family[0].verdict == verdict::equivalent);
  CHECK(family[0].p_equivalence_holm.value() == Approx(4 * family[0].p_equivalence.value()));
  CHECK(family[1].smallest_effect.value() > alone);
  CHECK(family[4].verdict == verdict::undecided);
  // Adjusting anew starts from the raw p: it does not add up.
  const double once = family[1].p_holm;
  statistics::adjust_family(family);
  CHECK(family[1].p_holm == once);
}

TEST_CASE("one prompt of a continuous metric, or one template, gives a line but no inference",
          "[experiment][statistics]") {
  const comparison_request request{.metric = "marker_log_prob", .scale = metric_scale::continuous};
  const paired_comparison row = compare(request, std::vector<double>{1.5}, std::vector<double>{1});
  CHECK(row.difference == 0.5);
  CHECK(row.method == method::none);
  CHECK_FALSE(row.low);
  CHECK(row.verdict == verdict::undecided);
  const outcomes made = outcomes_of({10, 20, 0, 10});
  const paired_comparison together = compare(success_request(), made.a, made.b, std::vector<std::int64_t>(40, 3));
  CHECK(together.method == method::none);
  CHECK(together.clusters == 1);
  CHECK(together.only_a == 20);
  CHECK(together.verdict == verdict::undecided);
}

TEST_CASE("conditions that cannot be compared are refused", "[experiment][statistics]") {
  const std::vector<double> two{1, 0};
  const std::vector<double> three{1, 0, 1};
  const std::vector<double> unknown{1, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<double> above{1, 1.5};
  const std::vector<std::int64_t> negative{0, -1};
  const std::vector<std::int64_t> too_many{0, 1, 2};
  const comparison_request request = success_request();
  CHECK_THROWS_AS(compare(request, {}, {}), shape_error);
  CHECK_THROWS_AS(compare(request, two, three), shape_error);
  CHECK_THROWS_AS(compare(request, two, unknown), value_error);
  CHECK_THROWS_WITH(compare(request, two, above), "compare: b[1]: expected a success rate, 0 to 1, got 1.5");
  CHECK_THROWS_AS(compare(request, two, two, negative), value_error);
  CHECK_THROWS_AS(compare(request, two, two, too_many), shape_error);
  comparison_request wrong = request;
  wrong.margin = 0;
  CHECK_THROWS_AS(compare(wrong, two, two), value_error);
  wrong = request;
  wrong.alpha = 0.6;
  CHECK_THROWS_AS(compare(wrong, two, two), value_error);
}
