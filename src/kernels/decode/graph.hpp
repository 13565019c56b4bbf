#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace kvtransfer::kernels {

/// The operators on a GPU; graph.cpp describes them.
[[nodiscard]] std::int64_t graph_begin_on_cuda(const at::Tensor& on);
void graph_end_on_cuda(const at::Tensor& on, std::int64_t index);
void graph_replay_on_cuda(const at::Tensor& on, std::int64_t index);
void graph_drop_on_cuda(const at::Tensor& on, std::int64_t index);

}  // namespace kvtransfer::kernels
