#pragma once

#include <ATen/core/Tensor.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/activation_cuda.cuh"
#include "kernels/elements_cuda.cuh"
#include "kernels/linear/nf4_matrix_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"

// Products of up to eight rows with NF4 matrices by a GPU's matrix units (compute capability 8.0 on), where rows are of
// bfloat16 or half: bringing a value back is most of the work then, and is done once for all rows.
//
// A warp multiplies 16 rows of the matrix, 128 columns at a time, a block's warps taking turns along the rows. Which
// column is which of a matrix instruction's is free as long as both factors agree: so a lane reads runs of 32
// neighbours, of codes and of x alike, and hands them on four by four.

namespace kvtransfer::kernels {

inline constexpr int tile_outs = 16;                         // rows of the matrix
inline constexpr int tile_rows = 8;                          // rows of x
inline constexpr int run_length = 32;                        // neighbours that a lane reads at once
inline constexpr int tile_ins = 4 * run_length;              // columns that a warp takes at a time
inline constexpr int most_tile_warps = 12;                   // of a block
inline constexpr int most_tiled = 3;                         // matrices
inline constexpr int lanes_of_tile = tile_ins / run_length;  // that share a row of the matrix

/// Matrices of one width and what becomes of their products.
template <class Element>
struct tiled_matrices {
  nf4_codes matrices[most_tiled];
  const Element* biases[most_tiled] = {};  // null: none
  Element* products[most_tiled] = {};      // [rows, out]
  int outs[most_tiled] = {};
  int first_block[most_tiled] = {};  // of each matrix's blocks
  int count = 0;
  int in = 0;
  activation gate = activation::silu;  // of gated products
};

/// Codes of a run, and what their scale is made of.
struct nf4_run {
  uint4 codes;
  float scale;           // of the elements; with nested scales, of their block's scales
  std::uint32_t nested;  // the code of the elements' scale
};

/// @param first element, a multiple of `run_length`
__device__ inline nf4_run read_run(const nf4_codes& matrix, std::int64_t first) {
  const std::int64_t block = first >> matrix.block_shift;
  nf4_run run;
  run.codes = __ldcs(reinterpret_cast<const uint4*>(matrix.codes + first / 2));
  if (matrix.nested_codes == nullptr) {
    run.scale = __ldg(matrix.absmax + block);
    run.nested = 0;
  } else {
    run.scale = __ldg(matrix.nested_absmax + (block >> matrix.nested_shift));
    run.nested = __ldg(matrix.nested_codes + block);
  }
  return run;
}

/// Two numbers, the first in the lower half, each rounded.
__device__ inline std::uint32_t packed(float first, float second, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

__device__ inline std::uint32_t packed(float first, float second, __half) {
  const __half2 pair = __floats2half2_rn(first, second);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// sums += a · b of 16 by 16 by 8.
template <class Element>
__device__ void multiply_tile(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<Element, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, "
        "%2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#endif
}

/// A run of x, as matrix instructions take it.
struct x_run {
  std::uint32_t words[run_length / 2];
};

template <class Element>
__device__ x_run read_x_run(const Element* from, bool there) {
  x_run run = {};
  if (there) {
#pragma unroll
    for (int i = 0; i < run_length / 8; ++i) {
      const uint4 words = reinterpret_cast<const uint4*>(from)[i];
      run.words[4 * i] = words.x;
      run.words[4 * i + 1] = words.y;
      run.words[4 * i + 2] = words.z;
      run.words[4 * i + 3] = words.w;
    }
  }
  return run;
}

/// Adds the products of two rows' runs of codes with a run of x. All lanes of the warp take part.
/// @param value of the code that is the lane's number, modulo 16
template <class Element>
__device__ void multiply_runs(const nf4_run (&runs)[2], const float (&scales)[2], const x_run& x, float value,
                              float (&sums)[4]) {
  const std::uint32_t codes[2][4] = {{runs[0].codes.x, runs[0].codes.y, runs[0].codes.z, runs[0].codes.w},
                                     {runs[1].codes.x, runs[1].codes.y, runs[1].codes.z, runs[1].codes.w}};
#pragma unroll
  for (int step = 0; step < run_length / 4; ++step) {
    std::uint32_t a[4];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const std::uint32_t four = codes[row][step / 2] >> (step % 2 * 16);
      const auto of_code = [&](int shift) {
        // The lane that is asked is the number's lowest five bits: no need to mask the code.
        return __shfl_sync(0xffffffffU, value, static_cast<int>(four >> shift)) * scales[row];
      };
      a[row] = packed(of_code(4), of_code(0), Element{});
      a[row + 2] = packed(of_code(12), of_code(8), Element{});
    }
    multiply_tile<Element>(sums, a, x.words[2 * step], x.words[2 * step + 1]);
  }
}

/// @tparam Matrices 2: the first matrix's product is activated and multiplied by the second's, in one result
/// @tparam UnderWay runs of a row that a lane asks for before it uses the first
template <class Element, int Matrices, int UnderWay>
__global__ void __launch_bounds__(most_tile_warps* lanes)
    multiply_tiles(const __grid_constant__ tiled_matrices<Element> job, const Element* x, int rows) {
  let_next_begin();
  __shared__ float nested_values[Matrices][256];
  __shared__ float of_warps[most_tile_warps][Matrices][tile_rows][tile_outs];
  int which = 0;
  while (Matrices == 1 && which + 1 < job.count && static_cast<int>(blockIdx.x) >= job.first_block[which + 1]) {
    ++which;
  }
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int warp = static_cast<int>(threadIdx.x) / lanes;
  const int warps = static_cast<int>(blockDim.x) / lanes;
  const int run_at = lane % lanes_of_tile * run_length;
  const int row = lane / lanes_of_tile;  // of x, and the first of two of the matrix
  const int out = job.outs[which];
  const int first_out = (static_cast<int>(blockIdx.x) - job.first_block[which]) * tile_outs;
  const int chunks = job.in / tile_ins;
  std::int64_t begin[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    begin[i] = static_cast<std::int64_t>(min(first_out + row + i * tile_outs / 2, out - 1)) * job.in + run_at;
  }
  nf4_run runs[UnderWay][Matrices][2];
  const auto read = [&](int first_chunk) {
#pragma unroll
    for (int u = 0; u < UnderWay; ++u) {
      const int chunk = first_chunk + u * warps;
      if (chunk < chunks) {
#pragma unroll
        for (int m = 0; m < Matrices; ++m) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            runs[u][m][i] = read_run(job.matrices[which + m], begin[i] + chunk * tile_ins);
          }
        }
      }
    }
  };
  read(warp);
  float offsets[Matrices] = {};
#pragma unroll
  for (int m = 0; m < Matrices; ++m) {
    const nf4_codes& matrix = job.matrices[which + m];
    if (matrix.nested_codes != nullptr) {
      offsets[m] = __ldg(matrix.offset);
      for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
        nested_values[m][i] = __ldg(matrix.quant_map + i);
      }
    }
  }
  const float value = nf4_values[lane % 16];
  __syncthreads();
  wait_for_inputs();  // the matrix is nobody's result, x is
  float sums[Matrices][4] = {};
  for (int first_chunk = warp; first_chunk < chunks;) {
#pragma unroll
    for (int u = 0; u < UnderWay; ++u) {
      const int chunk = first_chunk + u * warps;
      if (chunk < chunks) {
        const x_run read_x =
            read_x_run(x + static_cast<std::int64_t>(row) * job.in + chunk * tile_ins + run_at, row < rows);
#pragma unroll
        for (int m = 0; m < Matrices; ++m) {
          float scales[2];
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const nf4_run& run = runs[u][m][i];
            // Rounded as PyTorch multiplies and adds, one after the other.
            scales[i] = job.matrices[which + m].nested_codes == nullptr
                            ? run.scale
                            : __fadd_rn(__fmul_rn(nested_values[m][run.nested], run.scale), offsets[m]);
          }
          multiply_runs<Element>(runs[u][m], scales, read_x, value, sums[m]);
        }
      }
    }
    first_chunk += UnderWay * warps;
    if (first_chunk < chunks) {
      read(first_chunk);
    }
  }
  const int column = lane % lanes_of_tile * 2;  // row of x
#pragma unroll
  for (int m = 0; m < Matrices; ++m) {
    of_warps[warp][m][column][row] = sums[m][0];
    of_warps[warp][m][column + 1][row] = sums[m][1];
    of_warps[warp][m][column][row + tile_outs / 2] = sums[m][2];
    of_warps[warp][m][column + 1][row + tile_outs / 2] = sums[m][3];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < rows * tile_outs; i += static_cast<int>(blockDim.x)) {
    const int to_row = i / tile_outs;
    const int to_out = i % tile_outs;
    if (first_out + to_out >= out) {
      continue;
    }
    float all[Matrices];
#pragma unroll
    for (int m = 0; m < Matrices; ++m) {
      const Element* const bias = job.biases[which + m];
      all[m] = 0;
      for (int w = 0; w < warps; ++w) {
        all[m] += of_warps[w][m][to_row][to_out];
      }
      all[m] += bias == nullptr ? 0.0F : widened(bias[first_out + to_out]);
    }
    Element* const to = job.products[which] + static_cast<std::int64_t>(to_row) * out + first_out + to_out;
    if constexpr (Matrices == 2) {
      const float gate = rounded_to<Element>(activated(rounded_to<Element>(all[0]), job.gate));
      write(to, gate * rounded_to<Element>(all[1]));
    } else {
      write(to, all[0]);
    }
  }
}

/// Whether tiles fit a matrix: whole ones along its rows, runs with one scale each, codes that 16 divides.
inline bool fits_tiles(const nf4_codes& matrix) {
  return matrix.in % tile_ins == 0 && (1 << matrix.block_shift) >= run_length &&
         reinterpret_cast<std::uintptr_t>(matrix.codes) % 16 == 0;
}

/// Whether the code that runs on the current device has the instructions.
inline bool multiplies_tiles() { return code_architecture() >= 80; }

/// Launches products of up to eight rows.
template <bool Gated, class Element>
void launch_tiles(tiled_matrices<Element> job, const Element* x, int rows, const char* where) {
  const int chunks = job.in / tile_ins;
  const int turns = (chunks + most_tile_warps - 1) / most_tile_warps;
  const int warps = (chunks + turns - 1) / turns;
  std::int64_t blocks = 0;
  for (int i = 0; i < (Gated ? 1 : job.count); ++i) {
    job.first_block[i] = static_cast<int>(blocks);
    blocks += (job.outs[i] + tile_outs - 1) / tile_outs;
  }
  launch_overlapping(multiply_tiles < Element, Gated ? 2 : 1, Gated ? 2 : 4 >,
                     grid_axis(blocks, where, "codes", "blocks of rows"), static_cast<unsigned>(warps * lanes), 0, job,
                     x, rows);
}

}  // namespace kvtransfer::kernels
