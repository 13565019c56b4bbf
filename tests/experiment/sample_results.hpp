#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::test {

/// A trial as if a model had generated `text` by `token_ids` and ended.
inline trial_record sample_trial(const test_case& test, std::string text, std::vector<std::int64_t> token_ids) {
  trial_record trial;
  trial.token_ids = std::move(token_ids);
  trial.text = std::move(text);
  trial.markers_found = markers_found(trial.text, test.markers);
  trial.stop = stop_reason::eos;
  trial.stalled = is_stalled(true, static_cast<std::int64_t>(trial.token_ids.size()));
  trial.top2_margins.assign(trial.token_ids.size() + 1, 0.5);
  trial.read = {{token_role::bos, 1, true, {1}, {{0, 1}}},
                {token_role::source, 3, true, {5, 6, 7}, {{8, 3}}},
                {token_role::target, 2, false, {8, 9}, {{11, 2}}}};
  return trial;
}

inline condition_description sample_condition(std::string id, std::string title) {
  condition_description condition;
  condition.id = std::move(id);
  condition.title = std::move(title);
  return condition;
}

/// A finished run of one test: `transfer` equals its oracle, a mistaken harness gives the published column.
inline results sample_results() {
  results run;
  run.program = {"0.1.0", "2.11.0", "cpu", "float32", "none", 2};
  run.model = {
      "models/small", "LlamaForCausalLM", 3, 64, 4, 2, 16, 97, R"({"rope_type": "default", "rope_theta": 10000.0})",
      "abc"};
  run.suite_name = "sample";
  run.reported_by = "Somebody, 2025";
  run.conditions = {sample_condition("text_oracle", "Text oracle"), sample_condition("transfer", "Transfer"),
                    sample_condition("as_reported_transfer", "As reported: transfer")};
  run.conditions[1].reference = "text_oracle";
  run.conditions[1].must_equal_reference = true;
  run.conditions[2].reference = "text_oracle";
  run.conditions[2].reconstructs = "transfer";
  run.conditions[2].mistake = "It feeds EOS.";
  test_record test;
  test.test = {"names",
               "I am <Lyra> & co.",
               "Who are you?",
               {"Lyra", "Seattle"},
               {},
               "A note.",
               {{"transfer", {false, {}}}, {"noise", {true, {}}}}};
  const auto record = [&](const char* id, const char* text, std::vector<std::int64_t> token_ids) {
    test.conditions.push_back({id, std::nullopt, {sample_trial(test.test, text, std::move(token_ids))}});
  };
  record("text_oracle", "I am LYRA of <Seattle>.", {5, 6, 7});
  record("transfer", "I am LYRA of <Seattle>.", {5, 6, 7});
  record("as_reported_transfer", "", {});
  run.tests.push_back(std::move(test));
  run.settings.conditions = {"text_oracle", "transfer", "as_reported_transfer"};
  return run;
}

}  // namespace kvtransfer::test
