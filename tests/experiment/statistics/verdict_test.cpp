#include "kvtransfer/experiment/statistics/verdict.hpp"

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using statistics::decide;
using statistics::verdict;

TEST_CASE("a verdict needs both p and interval, or the margin", "[experiment][statistics]") {
  const statistics::evidence far{.prompts = 100, .p = 0.001, .difference = {0.1, 0.3}};
  CHECK(decide(far) == verdict::different);
  statistics::evidence seen = far;
  seen.p = 0.2;
  CHECK(decide(seen) == verdict::undecided);
  seen = far;
  seen.difference.low = -0.01;
  CHECK(decide(seen) == verdict::undecided);
  seen = far;
  seen.p_equivalence = 0.3;
  CHECK(decide(seen) == verdict::different);
}

TEST_CASE("no evidence of a difference is not equivalence", "[experiment][statistics]") {
  statistics::evidence seen{.prompts = 100, .p = 0.9, .difference = {-0.02, 0.02}};
  CHECK(decide(seen) == verdict::undecided);
  seen.p_equivalence = 0.06;
  CHECK(decide(seen) == verdict::undecided);
  seen.p_equivalence = 0.04;
  CHECK(decide(seen) == verdict::equivalent);
  CHECK(decide(seen, 0.01) == verdict::undecided);
}

TEST_CASE("a sure difference below the margin is equivalent, since the margin says what matters",
          "[experiment][statistics]") {
  CHECK(decide({.prompts = 5000, .p = 0.001, .difference = {0.005, 0.015}, .p_equivalence = 0.0001}) ==
        verdict::equivalent);
}

TEST_CASE("five prompts are never called a result, nor are a few templates", "[experiment][statistics]") {
  statistics::evidence seen{.prompts = 5, .p = 1e-9, .difference = {0.5, 1}};
  CHECK(decide(seen) == verdict::undecided);
  seen.prompts = statistics::minimum_prompts - 1;
  CHECK(decide(seen) == verdict::undecided);
  seen.prompts = statistics::minimum_prompts;
  CHECK(decide(seen) == verdict::different);
  seen.clusters = statistics::minimum_clusters - 1;
  CHECK(decide(seen) == verdict::undecided);
  seen.p_equivalence = 0;
  CHECK(decide(seen) == verdict::undecided);
  seen.clusters = statistics::minimum_clusters;
  CHECK(decide(seen) == verdict::equivalent);
}

TEST_CASE("verdicts are spelled as in summary.json", "[experiment][statistics]") {
  CHECK(statistics::to_string(verdict::different) == "different");
  CHECK(statistics::to_string(verdict::equivalent) == "equivalent");
  CHECK(statistics::to_string(verdict::undecided) == "undecided");
  CHECK_THROWS_AS(decide({}, 0.7), value_error);
}
