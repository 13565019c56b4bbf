#pragma once

namespace kvtransfer::detail {

/// Whether steps are replayed on a GPU where a program doesn't say: as the environment variable KVTRANSFER_CUDA_GRAPHS
/// has it, `on` or `off`; off without it. @throws value_error for another value
[[nodiscard]] bool replays_steps_unasked();

}  // namespace kvtransfer::detail
