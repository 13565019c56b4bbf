#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/experiment/condition_description.hpp"
#include "kvtransfer/experiment/left_out_crossing.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/experiment/program_info.hpp"
#include "kvtransfer/experiment/run_cost.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/experiment/statistics/equivalence.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/stop_reason.hpp"

namespace kvtransfer {

/// Every flag of a run; the JSON name of a flag is its name in snake_case.
struct run_settings {
  std::string model;                           ///< a folder or a file
  std::string device = "auto";                 ///< "auto", "cpu" or "cuda:INDEX"
  std::string dtype;                           ///< as "float32"
  std::string quantize = "none";               ///< how weights are stored: "none", …
  std::int64_t threads = 0;                    ///< threads of the CPU; 0: what torch chooses
  std::string prompt_form = "raw";             ///< raw, chat or chat:NAME
  std::string system;                          ///< the system text of chat prompts; empty: none
  std::string suite;                           ///< the suite's name or file
  std::vector<std::string> conditions;         ///< ids, in the order of tables
  std::string factors = {};                    ///< crossed around transfer, as the flag spells them; empty: none
  std::string sweep = {};                      ///< walked through, likewise
  std::int64_t trials = 1;                     ///< of each test under each condition
  double temperature = 0.0;                    ///< 0: greedy
  std::uint64_t seed = 0;                      ///< trial i draws with seed + i
  std::int64_t max_new_tokens = 40;            ///< per trial
  std::string output = "results";              ///< the folder that results go to
  bool resume = false;                         ///< whether trials that an earlier run finished are kept
  double margin = statistics::default_margin;  ///< success rates closer than this count as equal; fixed before the run
};

/// One generation.
struct trial_record {
  std::uint64_t seed = 0;                         ///< that its draws were made with
  std::vector<std::int64_t> token_ids;            ///< the generated tokens alone, EOS left out
  std::string text;                               ///< the tokens' text
  std::vector<std::string> markers_found;         ///< in the test's order
  std::vector<std::string> forbidden_found = {};  ///< likewise of the markers that the text was not to hold
  stop_reason stop = stop_reason::length;         ///< why it ended
  bool stalled = false;                           ///< whether it ended at once: see `is_stalled`

  /// Natural logarithm of how probable a marker is: where the text oracle's greedy answer comes to it, behind the
  /// tokens of that answer, or right behind the prompt where it does not; the mean over the test's markers.
  std::optional<double> marker_log_prob = {};
  /// Nats: by how much the next token is expected otherwise than by the text oracle, the mean along its greedy answer.
  std::optional<double> next_token_kl = {};

  std::vector<double> top2_margins;  ///< per step: largest minus second largest logit; the EOS step included
  sequence read;                     ///< what stood in front of the first generated token
  bool assumed_frame = false;        ///< the injected cache's frame was set by hand: it does not describe what it holds
  std::vector<std::string> edits;  ///< what was done to the injected cache's numbers, as `describe(cache_edit)` says it
  origin_basis origin = origin_basis::recorded;  ///< why the injected cache was taken for one of the model's
  std::int64_t close_calls = 0;                  ///< choices that rounding may have decided: see `is_close`

  friend bool operator==(const trial_record&, const trial_record&) = default;
};

/// All trials of one test under one condition, in order.
struct condition_record {
  std::string id;                             ///< the condition's
  std::optional<std::string> not_applicable;  ///< why this model can't run it; then there are no trials
  std::vector<trial_record> trials;           ///< in the order of their seeds
  std::string inputs_digest = {};             ///< of files and other prompts that the trials depend on; empty: of none

  friend bool operator==(const condition_record&, const condition_record&) = default;
};

/// One test under all conditions, in the order in which they were asked for.
struct test_record {
  test_case test;                            ///< its prompts and markers
  std::vector<condition_record> conditions;  ///< in the order asked for

  /// The condition of that id; null if it did not run.
  [[nodiscard]] const condition_record* find(std::string_view id) const {
    const auto found =
        std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.id == id; });
    return found == conditions.end() ? nullptr : &*found;
  }
};

/// A finished run: what a report is made from.
struct results {
  program_info program;                           ///< that ran
  model_info model;                               ///< that was run
  run_settings settings;                          ///< that were asked for
  std::string suite_name;                         ///< as the suite has it
  std::string suite_description;                  ///< as the suite has it; may be empty
  std::string reported_by;                        ///< whose published table the tests carry; may be empty
  std::string suite_digest = {};                  ///< of the tests' content
  std::string metric = "success";                 ///< what the suite asks about: "success" or "stalled"
  std::vector<condition_description> conditions;  ///< in the order asked for
  std::vector<left_out_crossing> left_out = {};   ///< of the factors' crossings those that are not run
  std::vector<test_record> tests;                 ///< in the suite's order
  run_cost cost = {};                             ///< what running the trials took

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
