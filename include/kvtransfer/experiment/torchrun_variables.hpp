#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kvtransfer {

/// What torchrun tells each process of a group that it starts, in environment variables.
struct torchrun_variables {
  std::int64_t rank = 0;        ///< this process's number, from 0: RANK
  std::int64_t size = 1;        ///< processes of the group: WORLD_SIZE
  std::int64_t local_rank = 0;  ///< this process's number among those of its host, from 0: LOCAL_RANK
  std::int64_t local_size = 1;  ///< processes of the group on this host: LOCAL_WORLD_SIZE
  std::int64_t restarts = 0;    ///< how often the group was started again: TORCHELASTIC_RESTART_COUNT
  std::string run_id = "none";  ///< what torchrun calls the run: TORCHELASTIC_RUN_ID
  std::string host;             ///< of the store that all share: MASTER_ADDR
  std::uint16_t port = 0;       ///< likewise: MASTER_PORT
  bool hosts_store = false;  ///< whether it is this process that opens that store: rank 0, unless torchrun's agent has

  /// Nothing where RANK is not set: a process alone.
  /// @throws value_error naming a variable that is missing or no number in its range
  [[nodiscard]] static std::optional<torchrun_variables> read();
};

}  // namespace kvtransfer
