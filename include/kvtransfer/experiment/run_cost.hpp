#pragma once

#include <cstdint>
#include <optional>

namespace kvtransfer {

/// What a run takes: what was run, not what an earlier run had finished.
struct run_cost {
  std::int64_t trials = 0;                             ///< run to their end
  std::int64_t tokens = 0;                             ///< chosen, oracles' and continued prompts' included
  double seconds = 0.0;                                ///< from before the first step on, without loading the model
  std::int64_t processes = 1;                          ///< that shared the run
  std::int64_t peak_host_bytes = 0;                    ///< resident set of the process that had most, files included
  std::optional<std::int64_t> peak_device_bytes = {};  ///< allocated by torch on the GPU that had most; none on the CPU
};

/// Tokens a second, of all processes together; 0 before there is one.
[[nodiscard]] inline double tokens_per_second(const run_cost& cost) {
  return cost.seconds > 0 ? static_cast<double>(cost.tokens) / cost.seconds : 0.0;
}

}  // namespace kvtransfer
