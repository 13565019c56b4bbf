#include "experiment/run/group_journals.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "experiment/file_lock.hpp"
#include "experiment/run/run_share.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/output_folder.hpp"

namespace kvtransfer::detail {

namespace {

namespace fs = std::filesystem;

// Of a group: a mark, and a counter.
constexpr const char* is_ready = "journals/ready";
constexpr const char* kept_trials = "journals/kept trials";

void wait_until_ready(process_group& group, const std::function<void()>& wait) {
  while (!group.is_marked(is_ready)) {
    if (wait) {
      wait();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

group_journals::group_journals(fs::path folder, const results& run, bool resume, process_group& group,
                               const std::function<void()>& wait)
    : folder_(std::move(folder)) {
  if (group.rank() == 0) {
    all_.emplace(records_file(folder_), run, resume);
    for (const fs::path& left : records_files_of_ranks(folder_)) {
      const file_lock nobody_at_work(left);
    }
    absorb();
    group.add(kept_trials, static_cast<std::int64_t>(all_->size()));
    group.mark(is_ready);
  } else {
    wait_until_ready(group, wait);
    require<file_error>(fs::exists(records_file(folder_)), folder_.string(), "output",
                        "a folder that all processes of the group see", "one without the records of rank 0");
  }
  if (group.size() > 1) {
    own_.emplace(records_file_of_rank(folder_, group.rank()), run, false);
    own_->know(records_file(folder_));
    const std::int64_t kept = group.add(kept_trials, 0);
    require_count<file_error>(own_->size(), kept, folder_.string(), "output",
                              "a folder that all processes of the group see, with {} finished trials");
  }
}

/// What a process has left is deleted when it is on the disk in the journal of all.
void group_journals::absorb() {
  const std::vector<fs::path> others = records_files_of_ranks(folder_);
  all_->absorb(others);
  for (const fs::path& other : others) {
    std::error_code ignored;
    fs::remove(other, ignored);
  }
}

void group_journals::gather(results& run) {
  own_.reset();
  absorb();
  for_each_trial(run, [&](const trial_key& key, trial_record& trial) {
    std::optional<trial_record> kept = all_->take(key);
    if (!kept) {
      fail<file_error>(folder_.string(), "output", "a folder that all processes of the group see",
                       fmt::format("one without trial {} of {} under {}", key.trial, key.test, key.condition));
    }
    trial = *std::move(kept);
  });
}

}  // namespace kvtransfer::detail
