#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// The journals of a run that the processes of a group share: that of all, `records.jsonl`, which rank 0 has, and one a
/// process, which holds what it has finished until rank 0 puts it into that of all. A process alone has the first only.
class group_journals {
 public:
  /// Opens this process's. Rank 0 first puts what an interrupted run has left into that of all; the others wait for it.
  /// @param folder there already where this is rank 0
  /// @param wait called while the others wait; what it throws is thrown here
  /// @throws as `journal`; file_error if another process is at work in the folder, or this one does not see what rank 0
  /// sees in it
  group_journals(std::filesystem::path folder, const results& run, bool resume, process_group& group,
                 const std::function<void()>& wait);

  /// The one that this process keeps its trials in. It knows those of an earlier run.
  [[nodiscard]] journal& own() { return own_ ? *own_ : *all_; }

  /// For rank 0, when all trials are in the processes' journals: puts them into that of all, and fills in the run's
  /// records.
  /// @throws file_error if a trial of the run is in none that can be seen from here
  void gather(results& run);

 private:
  void absorb();

  std::filesystem::path folder_;
  std::optional<journal> all_;
  std::optional<journal> own_;
};

}  // namespace kvtransfer::detail
