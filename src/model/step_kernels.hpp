#pragma once

namespace kvtransfer::detail {

/// Whether a GPU's decode steps are made of our kernels and replayed where a program doesn't say: as the environment
/// variable KVTRANSFER_CUDA_GRAPHS has it, `on` or `off`; on without it. @throws value_error for another value
[[nodiscard]] bool replays_steps_unasked();

/// Whether this thread's blocks on a GPU are our kernels'. PyTorch's operations make them otherwise, as they do where
/// there is no kernel; on a CPU nobody asks.
[[nodiscard]] bool wants_gpu_kernels();

/// Has `wants_gpu_kernels` say so in this thread while it lives.
class gpu_kernels_wanted {
 public:
  explicit gpu_kernels_wanted(bool wanted);
  gpu_kernels_wanted(const gpu_kernels_wanted&) = delete;
  gpu_kernels_wanted& operator=(const gpu_kernels_wanted&) = delete;
  ~gpu_kernels_wanted();

 private:
  bool before_;
};

}  // namespace kvtransfer::detail
