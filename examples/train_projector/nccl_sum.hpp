#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "gradient_exchange.hpp"

namespace kvtransfer::train_projector {

/// Sums on GPUs, one a process. @throws device_error where this program was built without NCCL's headers
[[nodiscard]] std::shared_ptr<gradient_exchange::sum> nccl_sum(c10::intrusive_ptr<c10d::Store> store, std::int64_t rank,
                                                               std::int64_t size, at::Device device);

}  // namespace kvtransfer::train_projector
