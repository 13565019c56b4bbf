#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kvtransfer::train_projector {

/// The processes that train one projector together, as torchrun starts them: each reads its share of a step's examples,
/// and all make the same step. By NCCL where they train on GPUs; on the CPU by the key-value store that torchrun
/// brings, which is enough to try a run out and no faster than one process.
class gradient_exchange {
 public:
  /// One process, alone.
  gradient_exchange() = default;

  /// Those that torchrun's variables tell of; without them one process, alone. Returns when all have come.
  /// @param device as on the command line: with `auto` or `cuda` each process gets the GPU of its LOCAL_RANK
  /// @throws as `torchrun_variables::read`, `choose_device` and `open_store`
  /// @throws device_error where this build of the program lacks NCCL
  [[nodiscard]] static gradient_exchange from_environment(const std::string& device);

  /// Of this process, from 0 on.
  [[nodiscard]] std::int64_t rank() const { return rank_; }
  /// How many there are.
  [[nodiscard]] std::int64_t size() const { return size_; }
  /// The device of this process, as on the command line.
  [[nodiscard]] const std::string& device() const { return device_; }
  /// Whether it is this one that writes files and says how far the run is.
  [[nodiscard]] bool leads() const { return rank_ == 0; }

  /// Whether it was started by itself: then there is nothing to add up.
  [[nodiscard]] bool alone() const { return sum_ == nullptr; }

  /// Each tensor becomes its sum over all processes, the same to the bit in all of them.
  /// @param tensors of the same shapes, dtypes and order everywhere; dense
  void add_up(const std::vector<at::Tensor>& tensors) const;

  /// How sums are formed.
  class sum {
   public:
    sum() = default;
    virtual ~sum() = default;
    sum(const sum&) = delete;
    sum& operator=(const sum&) = delete;
    /// @param flat `[elements]`, replaced by its sum over all processes
    virtual void add_up(at::Tensor& flat) = 0;
  };

 private:
  std::int64_t rank_ = 0;
  std::int64_t size_ = 1;
  std::string device_;
  std::shared_ptr<sum> sum_;  // none: alone
};

}  // namespace kvtransfer::train_projector
