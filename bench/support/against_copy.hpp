#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "support/interleaved_timing.hpp"

namespace kvtransfer::bench {

/// Times `work` by turns with a plain copy of as many bytes; on a GPU several of either in a row, as a program that
/// goes on would, so that the host prepares one call while another runs. Counters give medians: `GB/s` read and
/// written, and `of_copy`, the speed as a share of the copy's; by processor time too on a CPU, which a machine shared
/// with others disturbs less.
/// @param bytes that `work` reads, and writes as many
inline void time_against_copy(benchmark::State& state, at::Device device, std::int64_t bytes,
                              const std::function<void()>& work) {
  const at::Tensor from = at::zeros({bytes}, at::TensorOptions().dtype(at::kByte).device(device));
  const at::Tensor to = at::zeros_like(from);
  const int in_a_row = device.is_cuda() ? 20 : 1;
  const auto repeated = [&](const std::function<void()>& once) {
    return [&once, in_a_row] {
      for (int i = 0; i < in_a_row; ++i) {
        once();
      }
    };
  };
  const std::function<void()> copy = [&] { to.copy_(from); };
  interleaved_timing timing(device, {repeated(work), repeated(copy)});
  for ([[maybe_unused]] auto iteration : state) {
    state.SetIterationTime(timing.round());
  }
  state.counters["GB/s"] = 2e-9 * static_cast<double>(bytes) * in_a_row / timing.median_seconds(0);
  state.counters["of_copy"] = 1 / timing.ratio_to(1);
  if (device.is_cpu()) {
    state.counters["of_copy_processor"] = 1 / timing.processor_ratio_to(1);
  }
}

/// The devices there are.
inline std::vector<at::Device> devices() {
  std::vector<at::Device> found = {at::kCPU};
  if (at::detail::getCUDAHooks().hasCUDA()) {
    found.push_back(at::Device(at::kCUDA, 0));
  }
  return found;
}

}  // namespace kvtransfer::bench
