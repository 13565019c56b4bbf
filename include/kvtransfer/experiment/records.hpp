#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/condition_description.hpp"
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
  std::string suite;
  std::vector<std::string> conditions;
  std::int64_t trials = 1;
  double temperature = 0.0;
  std::uint64_t seed = 0;  ///< trial i draws with seed + i
  std::int64_t max_new_tokens = 40;
  std::string output = "results";
  bool resume = false;
};

/// What ran.
struct program_info {
  std::string version;
  std::string libtorch;
  std::string device;
  std::string dtype;
  std::string quantization;
  std::int64_t threads = 0;
};

/// The model that ran.
struct model_info {
  std::string path;
  std::string architecture;
  std::int64_t layers = 0;
  std::int64_t hidden_size = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  nlohmann::ordered_json rope;  ///< type and parameters
  std::string fingerprint;      ///< tells whether trials of two runs are of one model
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
  const condition_record* find(std::string_view id) const {
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
  const condition_description* find_condition(std::string_view id) const {
    const auto found =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.id == id; });
    return found == conditions.end() ? nullptr : &*found;
  }

  /// The condition that reconstructs a published column; null if there is none in the run.
  const condition_description* find_reconstruction(std::string_view column) const {
    const auto found = std::find_if(conditions.begin(), conditions.end(),
                                    [&](const auto& each) { return each.reconstructs == column; });
    return found == conditions.end() ? nullptr : &*found;
  }
};

}  // namespace kvtransfer
