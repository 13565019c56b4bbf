#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/condition_description.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/experiment/program_info.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/stop_reason.hpp"

namespace kvtransfer {

/// Every flag of a run; the JSON name of a flag is its name in snake_case.
struct run_settings {
  std::string model;
  std::string device = "auto";
  std::string dtype;
  std::string quantize = "none";
  std::int64_t threads = 0;         ///< threads of the CPU; 0: what torch chooses
  std::string prompt_form = "raw";  ///< raw, chat or chat:NAME
  std::string system;               ///< the system text of chat prompts; empty: none
  std::string suite;
  std::vector<std::string> conditions;
  std::int64_t trials = 1;
  double temperature = 0.0;
  std::uint64_t seed = 0;  ///< trial i draws with seed + i
  std::int64_t max_new_tokens = 40;
  std::string output = "results";
  bool resume = false;
};

/// One generation.
struct trial_record {
  std::uint64_t seed = 0;
  std::vector<std::int64_t> token_ids;  ///< the generated tokens alone, EOS left out
  std::string text;
  std::vector<std::string> markers_found;
  stop_reason stop = stop_reason::length;
  bool stalled = false;
  std::vector<double> top2_margins;  ///< per step: largest minus second largest logit; the EOS step included
  sequence read;                     ///< what stood in front of the first generated token
  bool assumed_frame = false;        ///< the injected cache's frame was set by hand: it does not describe what it holds

  friend bool operator==(const trial_record&, const trial_record&) = default;
};

/// All trials of one test under one condition, in order.
struct condition_record {
  std::string id;
  std::optional<std::string> not_applicable;  ///< why this model can't run it; then there are no trials
  std::vector<trial_record> trials;

  friend bool operator==(const condition_record&, const condition_record&) = default;
};

/// One test under all conditions, in the order in which they were asked for.
struct test_record {
  test_case test;
  std::vector<condition_record> conditions;

  /// The condition of that id; null if it did not run.
  [[nodiscard]] const condition_record* find(std::string_view id) const {
    const auto found =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.id == id; });
    return found == conditions.end() ? nullptr : &*found;
  }
};

/// A finished run: what a report is made from.
struct results {
  program_info program;
  model_info model;
  run_settings settings;
  std::string suite_name;
  std::string suite_description;
  std::string reported_by;  ///< whose published table the tests carry; may be empty
  std::vector<condition_description> conditions;
  std::vector<test_record> tests;

  /// The description of that id; null if the run did not include it.
  [[nodiscard]] const condition_description* find_condition(std::string_view id) const {
    const auto found =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.id == id; });
    return found == conditions.end() ? nullptr : &*found;
  }

  /// The condition that reconstructs a published column; null if there is none in the run.
  [[nodiscard]] const condition_description* find_reconstruction(std::string_view column) const {
    const auto found = std::find_if(conditions.begin(), conditions.end(),
                                    [&](const auto& each) { return each.reconstructs == column; });
    return found == conditions.end() ? nullptr : &*found;
  }
};

}  // namespace kvtransfer
