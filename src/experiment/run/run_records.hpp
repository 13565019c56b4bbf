#pragma once

#include <cstdint>
#include <vector>

#include "experiment/run/cell.hpp"
#include "experiment/run/ready_conditions.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// The records of a run, cell by cell.
class run_records {
 public:
  /// Gives every test of the run an empty record for each condition, and a trial for each cell that can run.
  run_records(results& run, const std::vector<ready_condition>& conditions);

  /// All cells, in the run's order: tests, in each conditions, in each trials.
  [[nodiscard]] const std::vector<cell>& cells() const { return cells_; }

  /// What the journal does not have, in the run's order.
  [[nodiscard]] std::vector<cell> unfinished(const journal& finished) const;

  [[nodiscard]] const results& run() const { return run_; }
  [[nodiscard]] const test_case& test_of(const cell& where) const { return run_.tests[where.test].test; }
  [[nodiscard]] trial_record& record_of(const cell& where);
  [[nodiscard]] trial_key key_of(const cell& where) const;
  /// The trial that this one is compared with; null where there is none, or it has not run yet.
  [[nodiscard]] const trial_record* reference_of(const cell& where, const journal& finished) const;
  /// What the cell's draws are made with.
  [[nodiscard]] std::uint64_t seed_of(const cell& where) const;

 private:
  results& run_;
  std::vector<cell> cells_;
};

}  // namespace kvtransfer::detail
