#pragma once

#include <functional>
#include <vector>

#include "experiment/run/cell.hpp"
#include "experiment/run/ready_conditions.hpp"
#include "experiment/run/run_records.hpp"
#include "experiment/run/trial_measures.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "model/batch_sizes.hpp"

namespace kvtransfer::detail {

/// Runs the trials of a parcel, many at a time.
class parcel_runner {
 public:
  /// @param finish called with each trial whose record is complete
  parcel_runner(const causal_lm& model, const prompt_encoding& encoding, const std::vector<ready_condition>& conditions,
                run_records& records, const batching& how, std::function<void(const cell&)> finish);

  /// @throws an error of a trial, with the test and the condition in front; what `finish` or the steps' callback throws
  void run(const std::vector<cell>& cells);

 private:
  struct prepared_trial {
    cell where;
    generation_request request;
  };

  [[nodiscard]] std::vector<cell> generate_for(const std::vector<cell>& cells);
  [[nodiscard]] prepared_trial prepared(const cell& where);
  void finish(const cell& where, const completion& said);
  [[nodiscard]] generation_config settings_of(const cell& where) const;

  const prompt_encoding& encoding_;
  const std::vector<ready_condition>& conditions_;
  run_records& records_;
  batching how_;
  std::function<void(const cell&)> finished_;
  generation_config settings_;
  batch_memory memory_;
  prompt_caches caches_;
  trial_measures measures_;
};

}  // namespace kvtransfer::detail
