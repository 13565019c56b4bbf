#pragma once

#include <algorithm>
#include <cstdint>

// How a product of few rows is laid over a GPU: warps own rows of the matrix, one or several to a row where rows are
// long or few, so that every lane has a few reads, all under way at once, and there are warps enough to keep memory
// busy.

namespace kvtransfer::kernels {

constexpr int split_lanes = 32;
constexpr int warps_of_a_split = 4;  // a block's

/// Warps that share a row: 1, 2 or 4.
/// @param a_read elements that a lane reads at once
/// @param most_reads of a lane, where more warps can spare it more
inline int warps_a_row(std::int64_t out, std::int64_t in, int a_read, std::int64_t most_reads) {
  constexpr std::int64_t enough_warps = 2048;
  const std::int64_t reads = (in + split_lanes * a_read - 1) / (split_lanes * a_read);
  int warps = 1;
  while (warps < warps_of_a_split && 2 * warps <= reads &&
         (reads > warps * most_reads || out * warps < enough_warps)) {
    warps *= 2;
  }
  return warps;
}

/// A thread's place in the split.
struct split_place {
  int row;    // of the block's rows
  int first;  // lane among all that share the row
  int lanes;  // that share it
};

__device__ inline split_place place_in_split(int warps_a_row) {
  const int warp = static_cast<int>(threadIdx.x) / split_lanes;
  return {warp / warps_a_row, static_cast<int>(threadIdx.x) % (warps_a_row * split_lanes), warps_a_row * split_lanes};
}

/// Sums over all lanes that share a row; right in the first of them. Every thread of the block takes part.
template <int Count>
__device__ void sum_over_row(float (&sums)[Count], const split_place& place) {
  __shared__ float of_warps[warps_of_a_split][Count];
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    for (int apart = split_lanes / 2; apart > 0; apart /= 2) {
      sums[i] += __shfl_xor_sync(0xffffffffU, sums[i], apart);
    }
  }
  if (place.lanes == split_lanes) {
    return;
  }
  const int warp = static_cast<int>(threadIdx.x) / split_lanes;
  if (threadIdx.x % split_lanes == 0) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      of_warps[warp][i] = sums[i];
    }
  }
  __syncthreads();
  if (place.first == 0) {
    for (int other = 1; other < place.lanes / split_lanes; ++other) {
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        sums[i] += of_warps[warp + other][i];
      }
    }
  }
}

}  // namespace kvtransfer::kernels
