#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace kvtransfer::detail {

/// Makes steps, and replays those that it has made before: on a GPU a step of a given size is told to the driver once,
/// as a CUDA graph, since telling it kernel by kernel takes longer than the kernels do. Elsewhere every step is made
/// anew.
class step_graphs {
 public:
  /// @param on a tensor on the device
  /// @param enabled false: every step is made anew there too
  step_graphs(at::Tensor on, bool enabled);
  step_graphs(const step_graphs&) = delete;
  step_graphs& operator=(const step_graphs&) = delete;
  ~step_graphs();

  /// Makes a step. It may look at nothing on the host that changes between steps of one size, and must write into
  /// tensors that stay where they are.
  /// @param rows its size
  void run(std::int64_t rows, const std::function<void()>& step);

  /// Forgets what was made: tensors that steps refer to have been replaced.
  void forget();

 private:
  struct made_step {
    bool is_warm = false;  // was made once: what libraries set up on the way is there
    std::optional<std::int64_t> graph = {};
  };

  [[nodiscard]] std::optional<std::int64_t> captured(const std::function<void()>& step);

  at::Tensor on_;
  bool enabled_;
  std::map<std::int64_t, made_step> steps_;
};

}  // namespace kvtransfer::detail
