#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

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

/// Whether the current device overlaps launches.
inline bool overlaps_launches() {
  int device = 0;
  int major = 0;
  C10_CUDA_CHECK(cudaGetDevice(&device));
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major >= 9;
}

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
