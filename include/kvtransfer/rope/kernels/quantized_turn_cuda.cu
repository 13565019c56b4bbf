#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/kernels/quantized_operators.hpp"
#include "kvtransfer/rope/kernels/quantized_turn_cuda.cuh"

// The operator of quantized_operators.cpp on CUDA.

namespace kvtransfer::rope::kernels {
namespace {

/// As many tokens as fit what every GPU gives a block unasked, at most 16.
int tokens_at_a_time(const quantized_turn& arguments) {
  constexpr int floats_of_a_block = 48 * 1024 / 4;
  int tokens = 16;
  while (tokens > 0 && shared_floats(arguments, tokens) > floats_of_a_block) {
    --tokens;
  }
  if (tokens == 0) {
    fail<shape_error>("turn_quantized_", "codes", "heads that fit 48 KB as floats on CUDA",
                      fmt::format("{} elements", arguments.count));
  }
  return tokens;
}

}  // namespace

void turn_quantized_on_cuda(const quantized_turn& arguments) {
  cuda_tiles launch{arguments, arguments.groups, tokens_at_a_time(arguments)};
  if (!arguments.is_per_channel()) {
    launch.tiles = (arguments.turn.seq + launch.tokens_at_a_time - 1) / launch.tokens_at_a_time;
  }
  const std::int64_t blocks = arguments.turn.batch * arguments.turn.kv_heads * launch.tiles;
  if (blocks > std::numeric_limits<std::int32_t>::max()) {
    fail<shape_error>("turn_quantized_", "codes", "fewer than 2^31 groups of a layer on CUDA", fmt::format("{}", blocks));
  }
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(shared_floats(arguments, launch.tokens_at_a_time));
  turn_quantized_kernel<<<static_cast<unsigned>(blocks), threads_per_tile, bytes, c10::cuda::getCurrentCUDAStream()>>>(launch);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

namespace {

/// The operator with its keys' device current.
void turn_quantized_guarded(const at::Tensor& codes, const at::Tensor& scales, const optional_tensor& minimums,
                            const optional_tensor& group_ends, const optional_tensor& held, std::int64_t bits,
                            const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
                            const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq,
                            const optional_tensor& stream_of, double gain, std::int64_t window_offset, bool interleaved,
                            bool model_faithful) {
  const c10::cuda::CUDAGuard guard(codes.device());
  turn_quantized_<turn_quantized_on_cuda>(codes, scales, minimums, group_ends, held, bits, from, to, delta, from_inv_freq,
                                          to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful);
}

}  // namespace
}  // namespace kvtransfer::rope::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("turn_quantized_", TORCH_FN(kvtransfer::rope::kernels::turn_quantized_guarded));
}
