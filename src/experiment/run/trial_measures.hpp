#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "experiment/oracle_reference.hpp"
#include "experiment/run/cell.hpp"
#include "experiment/run/ready_conditions.hpp"
#include "experiment/run/run_records.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "model/plan_identity.hpp"

namespace kvtransfer::detail {

/// Measures what trials read along what the text oracle of their test answers, each plan once.
class trial_measures {
 public:
  /// @param records get what was measured @param settings how trials are run @param how passes are made
  trial_measures(const causal_lm& model, const prompt_encoding& encoding,
                 const std::vector<ready_condition>& conditions, run_records& records,
                 const generation_config& settings, const batching& how);

  /// Forgets all oracles and plans, and has the oracles of these trials answer, all together.
  void ask_oracles(const std::vector<cell>& cells);

  /// Has what a trial reads measured by the next `measure_all`. @param input of a trial whose oracle was asked
  void add(const cell& where, const plan& input);

  /// Measures the plans added since the last call, all of them together, and fills in their trials' records.
  void measure_all();

 private:
  /// What trials of a test under a condition read, and how that compares with the oracle.
  struct measured_plan {
    plan input;  // until it is measured
    plan_identity identity;
    const oracle_reference* oracle = nullptr;  // null where it has no answer
    trial_record trial = {};
  };

  using oracle_key = std::pair<std::size_t, std::vector<std::int64_t>>;  // test, its prompts in one text

  [[nodiscard]] oracle_key oracle_of(const cell& where) const;

  const causal_lm& model_;
  const prompt_encoding& encoding_;
  const std::vector<ready_condition>& conditions_;
  run_records& records_;
  const generation_config& settings_;
  const batching& how_;
  std::map<oracle_key, std::optional<oracle_reference>> oracles_;
  std::map<std::pair<std::size_t, std::size_t>, std::shared_ptr<measured_plan>> last_;  // by test and condition
  std::vector<std::shared_ptr<measured_plan>> not_measured_;
  std::vector<std::pair<cell, std::shared_ptr<const measured_plan>>> asking_;
};

}  // namespace kvtransfer::detail
