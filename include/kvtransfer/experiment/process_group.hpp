#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/torchrun_variables.hpp"

namespace kvtransfer {

/// What the processes of a group have in common can't be reached: another process, or its host, may be gone.
class process_group_error : public error {
 public:
  using error::error;
};

/// The processes that share a run, one of which this is: as torchrun starts them, or this one alone. What they have in
/// common are counters and marks, in the store of c10d that torchrun's agent, or else rank 0, hosts.
///
/// A group that torchrun starts again after one of its processes was lost begins with counters at 0 and no marks.
class process_group {
 public:
  /// This process alone.
  process_group();

  /// The group that torchrun's variables tell of; this process alone where there are none.
  /// @throws as `torchrun_variables::read`; process_group_error where the store can't be reached; device_error where
  /// this build of torch has none
  [[nodiscard]] static process_group from_environment();

  /// Takes over another's connection to the store.
  process_group(process_group&&) noexcept;
  /// Likewise.
  process_group& operator=(process_group&&) noexcept;
  ~process_group();

  /// This process's number, from 0.
  [[nodiscard]] std::int64_t rank() const { return place_.rank; }
  /// Processes of the group.
  [[nodiscard]] std::int64_t size() const { return place_.size; }
  /// This process's number among those of its host, from 0: that of its GPU.
  [[nodiscard]] std::int64_t local_rank() const { return place_.local_rank; }
  /// Processes of the group on this host.
  [[nodiscard]] std::int64_t local_size() const { return place_.local_size; }
  /// How often the group was started again.
  [[nodiscard]] std::int64_t restarts() const { return place_.restarts; }

  /// Adds to a counter that all share and that begins at 0. @return its value then @throws process_group_error
  std::int64_t add(const std::string& counter, std::int64_t amount);

  /// Lets all know that something has happened. @throws process_group_error
  void mark(const std::string& event) { add(event, 1); }

  /// Whether one of the processes has marked it. @throws process_group_error
  [[nodiscard]] bool is_marked(const std::string& event);

 private:
  class store;

  torchrun_variables place_;
  std::unique_ptr<store> store_;
};

}  // namespace kvtransfer
