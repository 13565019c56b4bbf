#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

namespace kvtransfer::bench {

/// Seconds that one of `times` calls of `work` takes.
template <class Work>
double seconds_of(at::Device device, std::int64_t times, Work&& work) {
  const auto finished = [&] {
    if (device.is_cuda()) {
      at::detail::getCUDAHooks().deviceSynchronize(at::detail::getCUDAHooks().getCurrentDevice());
    }
    return std::chrono::steady_clock::now();
  };
  const auto start = finished();
  for (std::int64_t i = 0; i < times; ++i) {
    work();
  }
  return std::chrono::duration<double>(finished() - start).count() / static_cast<double>(times);
}

/// Times `work`, and in turn with it a plain copy of as many bytes. Reports for the best of each: `GB/s`, read and written, and
/// `of_copy`, the speed as a share of the copy's.
/// @param bytes that `work` reads, and writes as many
template <class Work>
void time_against_copy(benchmark::State& state, at::Device device, std::int64_t bytes, Work&& work) {
  const at::Tensor from = at::zeros({bytes}, at::TensorOptions().dtype(at::kByte).device(device));
  const at::Tensor to = at::zeros_like(from);
  const std::int64_t times = device.is_cuda() ? 10 : 1;
  double best = std::numeric_limits<double>::infinity();
  double best_copy = best;
  seconds_of(device, 1, work);
  for ([[maybe_unused]] auto iteration : state) {
    best_copy = std::min(best_copy, seconds_of(device, times, [&] { to.copy_(from); }));
    const double seconds = seconds_of(device, times, work);
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["GB/s"] = 2e-9 * static_cast<double>(bytes) / best;
  state.counters["of_copy"] = best_copy / best;
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
