#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

// Launches that begin while the kernel before them ends, on GPUs that know how (compute capability 9.0 on): a decode
// step is a chain of kernels of a few microseconds each, of which a good part is the start. A kernel so launched calls
// `let_next_begin`, reads what no kernel before it writes (weights), and calls `wait_for_inputs` before it touches
// anything else, its results' memory included: allocators hand out again what the kernel before still reads. A prefetch
// may guess its addresses from what it should not read yet, if it bounds them.

namespace kvtransfer::kernels {

__device__ inline void wait_for_inputs() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

__device__ inline void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

__global__ static void does_nothing() {}

/// The virtual architecture that kernels which run on the current device were compiled for, as `__CUDA_ARCH__ / 10`
/// said it: the device may be newer, and run what an older one's code was translated to.
inline int code_architecture() {
  static std::array<std::atomic<int>, 128> known{};  // by device
  int device = 0;
  C10_CUDA_CHECK(cudaGetDevice(&device));
  std::atomic<int>& here = known.at(static_cast<std::size_t>(device));
  if (here == 0) {
    cudaFuncAttributes attributes{};
    C10_CUDA_CHECK(cudaFuncGetAttributes(&attributes, does_nothing));
    here = attributes.ptxVersion;
  }
  return here;
}

/// Whether kernels on the current device overlap: both it and their code have to know how.
inline bool overlaps_launches() { return code_architecture() >= 90; }

/// Launches on the current stream a kernel that keeps to the rules above.
template <class... Parameters, class... Arguments>
void launch_overlapping(void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared_bytes,
                        Arguments&&... arguments) {
  cudaLaunchAttribute overlaps{};
  overlaps.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlaps.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t how{};
  how.gridDim = grid;
  how.blockDim = dim3(threads);
  how.dynamicSmemBytes = shared_bytes;
  how.stream = c10::cuda::getCurrentCUDAStream();
  how.attrs = &overlaps;
  how.numAttrs = overlaps_launches() ? 1 : 0;
  C10_CUDA_CHECK(cudaLaunchKernelEx(&how, kernel, std::forward<Arguments>(arguments)...));
}

}  // namespace kvtransfer::kernels
