#pragma once

#include <c10/core/Device.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/run.hpp"
#include "kvtransfer/experiment/run_cost.hpp"

namespace kvtransfer::detail {

/// Counts what a run does, and tells of it. What the other processes of its group do is known from counters that all
/// share, which are asked a few times a second: a step may be shorter than a question.
class run_teller {
 public:
  /// @param report called after every step and every trial @param total trials of the run
  /// @param waiting those of them that no earlier run has finished
  run_teller(process_group& group, c10::Device device, const progress_callback& report, std::int64_t total,
             std::int64_t waiting);

  /// @throws what the callback throws
  void stepped(std::int64_t tokens);

  /// @throws what the callback throws
  void finished(const std::string& test, const std::string& condition);

  /// This process has nothing left to do: tells the others what it took.
  void leave();

  /// Waits until all processes have done what there is. @throws what the callback throws; process_group_error if trials
  /// are left that nobody runs
  void wait_for_others();

  /// Of all processes, as far as is known here.
  [[nodiscard]] const run_cost& cost() const { return progress_.cost; }

 private:
  void exchange();
  void tell();

  using clock = std::chrono::steady_clock;

  process_group& group_;
  c10::Device device_;
  const progress_callback& report_;
  std::int64_t waiting_;
  std::int64_t new_trials_ = 0;  // since the counters were told
  std::int64_t new_tokens_ = 0;  // likewise
  run_progress progress_;
  clock::time_point start_ = clock::now();
  clock::time_point exchanged_;
};

}  // namespace kvtransfer::detail
