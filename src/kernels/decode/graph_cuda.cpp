#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::kernels {
namespace {

/// Where this thread's calls on the current device go while they are kept: the default stream can't be captured. One
/// for all graphs: libraries keep memory for every stream that they have seen.
c10::cuda::CUDAStream capture_stream() {
  thread_local std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
  const c10::DeviceIndex device = c10::cuda::current_device();
  const auto known = streams.find(device);
  return known != streams.end() ? known->second : streams.emplace(device, c10::cuda::getStreamFromPool()).first->second;
}

/// A graph, and where its calls go while it is made.
struct kept_calls {
  kept_calls() : before(c10::cuda::getCurrentCUDAStream()), stream(capture_stream()) {}

  at::cuda::CUDAGraph graph;
  c10::cuda::CUDAStream before;
  c10::cuda::CUDAStream stream;
  bool captures = false;
};

std::mutex& graphs_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Never destroyed: a process that ends has ended CUDA before.
std::map<std::int64_t, std::shared_ptr<kept_calls>>& graphs() {
  static auto* const all = new std::map<std::int64_t, std::shared_ptr<kept_calls>>();
  return *all;
}

std::shared_ptr<kept_calls> graph_at(std::int64_t index) {
  const std::lock_guard lock(graphs_mutex());
  const auto found = graphs().find(index);
  require<value_error>(found != graphs().end(), "graph", "graph", "one that was begun and not dropped",
                       [&] { return std::to_string(index); });
  return found->second;
}

std::int64_t graph_begin(const at::Tensor& on, std::optional<std::int64_t> beside) {
  const c10::cuda::CUDAGuard guard(on.device());
  static std::int64_t made = 0;
  const at::cuda::MempoolId_t memory = beside ? graph_at(*beside)->graph.pool() : at::cuda::MempoolId_t{0, 0};
  auto calls = std::make_shared<kept_calls>();
  C10_CUDA_CHECK(cudaStreamSynchronize(calls->before));  // what was called so far comes first
  c10::cuda::setCurrentCUDAStream(calls->stream);
  try {
    calls->graph.capture_begin(memory, cudaStreamCaptureModeThreadLocal);
  } catch (...) {
    c10::cuda::setCurrentCUDAStream(calls->before);
    throw;
  }
  calls->captures = true;
  const std::lock_guard lock(graphs_mutex());
  graphs().emplace(++made, std::move(calls));
  return made;
}

void graph_end(const at::Tensor& on, std::int64_t index) {
  const c10::cuda::CUDAGuard guard(on.device());
  const std::shared_ptr<kept_calls> calls = graph_at(index);
  require<value_error>(calls->captures, "graph_end", "graph", "one that is being made", "a finished one");
  try {
    // The stream must be current for the end, and the one before it afterwards, whatever happens.
    calls->graph.capture_end();
  } catch (...) {
    calls->captures = false;
    c10::cuda::setCurrentCUDAStream(calls->before);
    throw;
  }
  calls->captures = false;
  c10::cuda::setCurrentCUDAStream(calls->before);
}

void graph_replay(const at::Tensor& on, std::int64_t index) {
  const c10::cuda::CUDAGuard guard(on.device());
  graph_at(index)->graph.replay();
}

void graph_drop(const at::Tensor& on, std::int64_t index) {
  const c10::cuda::CUDAGuard guard(on.device());
  const std::shared_ptr<kept_calls> calls = graph_at(index);
  if (calls->captures) {
    try {
      graph_end(on, index);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it is given up anyway
    }
  }
  // The last replay may be running still.
  C10_CUDA_CHECK(cudaStreamSynchronize(c10::cuda::getCurrentCUDAStream()));
  const std::lock_guard lock(graphs_mutex());
  graphs().erase(index);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("graph_begin", TORCH_FN(kvtransfer::kernels::graph_begin));
  library.impl("graph_end", TORCH_FN(kvtransfer::kernels::graph_end));
  library.impl("graph_replay", TORCH_FN(kvtransfer::kernels::graph_replay));
  library.impl("graph_drop", TORCH_FN(kvtransfer::kernels::graph_drop));
}
