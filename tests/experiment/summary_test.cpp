#include "kvtransfer/experiment/summary.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/cells_csv.hpp"
#include "experiment/random_results.hpp"
#include "experiment/summary_json.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// A run of so many tests, where each condition passes the first ones.
results passing(const std::vector<std::pair<std::string, int>>& passed, int tests, int templates = 0) {
  results run = sample_results();
  run.conditions.clear();
  run.tests.clear();
  for (const auto& [id, count] : passed) {
    run.conditions.push_back(sample_condition(id, id));
  }
  for (int i = 0; i < tests; ++i) {
    test_record test;
    test.test.name = "t" + std::to_string(i);
    test.test.markers = {"yes"};
    test.test.group = templates == 0 ? "" : "g" + std::to_string(i % templates);
    for (const auto& [id, count] : passed) {
      test.conditions.push_back({id, std::nullopt, {sample_trial(test.test, i < count ? "yes" : "no", {1, 2, 3})}});
    }
    run.tests.push_back(std::move(test));
  }
  return run;
}

const statistics::paired_comparison& find(const run_summary& summary, const char* b, const char* metric = "success") {
  for (const condition_comparison& each : summary.comparisons) {
    if (each.outcome.b == b && each.outcome.metric == metric) {
      return each.outcome;
    }
  }
  throw std::runtime_error("no such comparison");
}

}  // namespace

TEST_CASE("transfer is compared with the text, another source, zero, noise and nothing, those that ran",
          "[experiment][summary]") {
  const auto opponents = [](const results& run) {
    std::vector<std::string> names;
    for (const condition_comparison& each : summarize(run).comparisons) {
      if (each.outcome.metric == "success") {
        names.push_back(each.outcome.a + " " + each.outcome.b);
      }
    }
    return names;
  };
  using names = std::vector<std::string>;
  CHECK(
      opponents(passing({{"baseline", 0}, {"text_oracle", 3}, {"zero", 0}, {"other_source", 0}, {"transfer", 3}}, 5)) ==
      names{"transfer text_oracle", "transfer other_source", "transfer zero", "transfer baseline"});
  CHECK(opponents(passing({{"baseline", 0}, {"from_files:a", 1}, {"transfer", 3}}, 5)) ==
        names{"from_files:a baseline", "transfer baseline"});
  CHECK(opponents(passing({{"baseline", 0}, {"transfer+keys", 1}}, 5)) == names{"transfer+keys baseline"});
  CHECK(opponents(passing({{"baseline", 0}, {"transfer+keys", 1}, {"transfer", 1}}, 5)) == names{"transfer baseline"});
  CHECK(opponents(passing({{"baseline", 0}, {"noise", 1}}, 5)).empty());
  CHECK(control_conditions(passing({{"zero", 0}, {"projected_zero:p", 0}, {"projected:p", 1}}, 5), "projected:p") ==
        names{"projected_zero:p"});
  CHECK(opponents(passing({{"zero", 0}, {"from_files:a", 1}, {"from_files:a+control:other_source", 0}}, 5)) ==
        names{"from_files:a from_files:a+control:other_source", "from_files:a zero"});
  CHECK(opponents(passing({{"transfer+cache:generated+keys", 1}, {"transfer+cache:generated+control:zero+keys", 0}},
                          5)) == names{"transfer+cache:generated+keys transfer+cache:generated+control:zero+keys"});
}

TEST_CASE("five prompts are undecided whatever they show", "[experiment][summary]") {
  const run_summary summary = summarize(passing({{"baseline", 0}, {"transfer", 5}}, 5));
  CHECK(find(summary, "baseline").difference == 1.0);
  CHECK(find(summary, "baseline").verdict == statistics::verdict::undecided);
}

TEST_CASE("prompts of one template are a cluster", "[experiment][summary]") {
  const run_summary apart = summarize(passing({{"baseline", 10}, {"transfer", 30}}, 80));
  CHECK(find(apart, "baseline").clusters == 0);
  CHECK(find(apart, "baseline").method == statistics::method::mcnemar);
  CHECK(find(apart, "baseline").only_a == 20);
  const run_summary clustered = summarize(passing({{"baseline", 10}, {"transfer", 30}}, 80, 20));
  CHECK(find(clustered, "baseline").clusters == 20);
  CHECK(find(clustered, "baseline").method == statistics::method::clustered_t);
  CHECK(find(clustered, "baseline").only_a == 20);
}

TEST_CASE("the comparisons of a metric are one family", "[experiment][summary]") {
  const run_summary alone = summarize(passing({{"baseline", 10}, {"transfer", 18}}, 80));
  const run_summary family = summarize(passing({{"baseline", 10}, {"zero", 10}, {"transfer", 18}}, 80));
  CHECK(find(alone, "baseline").p_holm == find(alone, "baseline").p);
  CHECK(find(family, "baseline").p_holm == Approx(2 * find(family, "baseline").p));
}

TEST_CASE("the margin is the run's", "[experiment][summary]") {
  results run = passing({{"text_oracle", 40}, {"transfer", 40}}, 400);
  CHECK(find(summarize(run), "text_oracle").verdict == statistics::verdict::equivalent);
  run.settings.margin = 0.001;
  CHECK(find(summarize(run), "text_oracle").verdict == statistics::verdict::undecided);
}

TEST_CASE("trials of a prompt are averaged within it", "[experiment][summary]") {
  results run = passing({{"baseline", 0}, {"transfer", 20}}, 40);
  for (test_record& test : run.tests) {
    trial_record other = sample_trial(test.test, "no", {1, 2, 3});
    other.seed = 1;
    test.conditions[1].trials.push_back(other);
  }
  const run_summary summary = summarize(run);
  CHECK(find(summary, "baseline").n == 40);
  CHECK(find(summary, "baseline").difference == Approx(0.25));
  CHECK_FALSE(find(summary, "baseline").only_a.has_value());
  CHECK(summary.cells[1].success.rate == Approx(0.25));
}

TEST_CASE("content, presence and the recovered share need their controls", "[experiment][summary]") {
  const results run = passing({{"baseline", 0}, {"text_oracle", 60}, {"other_source", 20}, {"transfer", 50}}, 80);
  const run_summary summary = summarize(run);
  REQUIRE(summary.recoveries.size() == 2);
  CHECK(summary.recoveries[0].outcome.presence.mean == Approx(0.25));
  CHECK(summary.recoveries[0].outcome.content.mean == Approx(30.0 / 80));
  REQUIRE(summary.recoveries[0].outcome.share.has_value());
  CHECK(summary.recoveries[0].outcome.share->share == Approx(30.0 / 40));
  CHECK(summarize(passing({{"baseline", 0}, {"text_oracle", 60}, {"transfer", 50}}, 80)).recoveries.empty());
  for (const auto& [subject, control] : {std::pair("from_files:a", "from_files:a+control:other_source"),
                                         std::pair("projected:p", "projected_other_source:p")}) {
    const run_summary own =
        summarize(passing({{"baseline", 0}, {"text_oracle", 60}, {control, 20}, {subject, 50}}, 80));
    REQUIRE(own.recoveries.size() == 2);
    CHECK(own.recoveries[0].condition == subject);
    CHECK(own.recoveries[0].outcome.share->share == Approx(30.0 / 40));
  }
}

TEST_CASE("a full crossing of factors gives main effects and interactions", "[experiment][summary]") {
  results run = passing({{"c00", 10}, {"c10", 30}, {"c01", 10}, {"c11", 30}}, 40);
  CHECK(summarize(run).factors.empty());
  for (condition_description& condition : run.conditions) {
    condition.factors = {{"bos", condition.id[1] == '1' ? "second" : "one"},
                         {"eos", condition.id[2] == '1' ? "fed" : "not fed"}};
  }
  const run_summary summary = summarize(run);
  REQUIRE(summary.factors.size() == 2);
  const factor_table& table = summary.factors[0];
  CHECK(table.metric == "success");
  CHECK(table.low == std::vector<std::string>{"one", "not fed"});
  REQUIRE(table.effects.size() == 3);
  CHECK(table.effects[0].factor == "bos");
  CHECK(table.effects[0].estimate.mean == Approx(0.5));
  CHECK(table.effects[1].estimate.mean == Approx(0.0));
  CHECK(table.effects[2].with == "eos");
  run.conditions.pop_back();
  CHECK(summarize(run).factors.empty());
}

TEST_CASE("summary.json has each comparison with its counts, interval, p values and verdict", "[experiment][summary]") {
  const results run = passing({{"baseline", 10}, {"text_oracle", 30}, {"transfer", 30}}, 80);
  const nlohmann::ordered_json document = summary_json(run, summarize(run));
  for (const char* part : {"program", "cost", "model", "settings", "suite", "comparisons", "cells", "variants",
                           "recoveries", "factors", "left_out"}) {
    CHECK(document.contains(part));
  }
  const nlohmann::ordered_json& row = document["comparisons"][1];
  CHECK(row["a"] == "transfer");
  CHECK(row["b"] == "baseline");
  CHECK(row["metric"] == "success");
  CHECK(row["n"] == 80);
  CHECK(row["both"] == 10);
  CHECK(row["only_a"] == 20);
  CHECK(row["only_b"] == 0);
  CHECK(row["neither"] == 50);
  CHECK(row["difference"] == 0.25);
  CHECK(row["verdict"] == "different");
  CHECK(row["margin"] == 0.03);
  for (const char* number : {"low", "high", "p_exact", "p_mid", "p_holm", "p_equivalence", "smallest_effect"}) {
    CAPTURE(number);
    CHECK(row[number].is_number());
  }
  CHECK(document["cells"].size() == 3);
  CHECK(document["cells"][2]["success"] == 0.375);
}

TEST_CASE("random runs are summed up without a complaint", "[experiment][summary]") {
  for (std::uint64_t seed = 1000; seed < 1040; ++seed) {
    const results run = random_results(seed);
    CAPTURE(seed);
    CHECK_NOTHROW(summary_json(run, summarize(run)).dump());
  }
}

TEST_CASE("cells.csv has a line a trial and quotes what a table would misread", "[experiment][summary]") {
  results run = passing({{"baseline", 0}, {"transfer", 1}}, 2);
  run.tests[0].test.name = "a \"b\", c";
  run.conditions[1].reference = "baseline";
  run.tests[1].conditions[1].trials[0].token_ids = {1, 9};
  run.program.commit = "abc";
  const std::string csv = cells_csv(run);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
  CHECK(csv.starts_with(
      "suite,test,test_digest,group,item,variant,condition,inputs_digest,trial,seed,success,markers_found,"
      "forbidden_found,marker_log_prob,next_token_kl,stalled,stop_reason,reference,first_divergence,"
      "model_digest,"));
  CHECK(csv.find("sample,\"a \"\"b\"\", c\",") != std::string::npos);
  CHECK(csv.find(",transfer,,0,0,false,,,,,false,eos,baseline,1,") != std::string::npos);
  CHECK(csv.find(",transfer,,0,0,true,yes,,,,false,eos,baseline,,") != std::string::npos);
}
