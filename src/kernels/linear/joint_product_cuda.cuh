#pragma once

#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/activation_cuda.cuh"
#include "kernels/elements_cuda.cuh"
#include "kernels/linear/row_split_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"

// Products of the same few rows with up to three matrices in one launch, whatever the matrices are stored as: a decode
// step of one sequence is so short that what launches cost apart counts.
//
// A reader is a plain struct for one matrix, passed to the kernel by value:
//   most_reads                          that a lane makes of a row, where more warps can spare it more (measured)
//   raw                                 what a lane reads of eight neighbours, kept until it is used
//   table                               what a block keeps in shared memory to bring them back
//   fill(table&)                        called by all threads, before a __syncthreads
//   raw read(row, k)                    k a multiple of 8
//   void bring_back(raw, table&, float (&values)[8])

namespace kvtransfer::kernels {

inline constexpr int most_joint = 3;

/// Matrices of one width and what becomes of their products.
template <class Reader, class Element>
struct joint_matrices {
  Reader readers[most_joint];
  const Element* biases[most_joint] = {};  // null: none
  Element* products[most_joint] = {};      // [rows, out]
  int outs[most_joint] = {};
  int first_block[most_joint] = {};  // of each matrix's blocks
  int count = 0;
  int in = 0;
  int warps_a_row = 1;
  activation gate = activation::silu;  // of gated products
};

/// One row of up to two matrices times the rows of x; a lane has its reads under way before it uses the first.
template <int Rows, int Outs, class Reader, class Element>
__device__ void multiply_row(const Reader* readers, const typename Reader::table* tables, std::int64_t row, int in,
                             const Element* x, int rows, const split_place& place, float (&sums)[Outs * Rows]) {
  constexpr int under_way = 4;
  const int step = place.lanes * 8;
  for (int first = place.first * 8; first < in; first += under_way * step) {
    typename Reader::raw raw[Outs][under_way];
#pragma unroll
    for (int u = 0; u < under_way; ++u) {
#pragma unroll
      for (int o = 0; o < Outs; ++o) {
        if (first + u * step < in) {
          raw[o][u] = readers[o].read(row, first + u * step);
        }
      }
    }
    if (first == place.first * 8) {
      wait_for_inputs();  // the matrix is nobody's result, x is
    }
#pragma unroll
    for (int u = 0; u < under_way; ++u) {
      const int k = first + u * step;
      if (k < in) {
        float values[Outs][8];
#pragma unroll
        for (int o = 0; o < Outs; ++o) {
          readers[o].bring_back(raw[o][u], tables[o], values[o]);
        }
#pragma unroll
        for (int m = 0; m < Rows; ++m) {
          float factors[8];
          read_eight(x + static_cast<std::int64_t>(m < rows ? m : 0) * in + k, factors);
#pragma unroll
          for (int o = 0; o < Outs; ++o) {
#pragma unroll
            for (int i = 0; i < 8; ++i) {
              sums[o * Rows + m] = fmaf(values[o][i], factors[i], sums[o * Rows + m]);
            }
          }
        }
      }
    }
  }
}

/// @tparam Gated the first matrix's product is activated and multiplied by the second's, in one result
template <class Reader, class Element, int Rows, bool Gated>
__global__ void __launch_bounds__(split_lanes* warps_of_a_split)
    multiply_joint(const __grid_constant__ joint_matrices<Reader, Element> job, const Element* x, int rows) {
  let_next_begin();
  constexpr int outs = Gated ? 2 : 1;
  __shared__ typename Reader::table tables[outs];
  int which = 0;
  while (!Gated && which + 1 < job.count && static_cast<int>(blockIdx.x) >= job.first_block[which + 1]) {
    ++which;
  }
  const split_place place = place_in_split(job.warps_a_row);
  const int rows_a_block = warps_of_a_split / job.warps_a_row;
  const int out = job.outs[which];
  const int row = (static_cast<int>(blockIdx.x) - job.first_block[which]) * rows_a_block + place.row;
  const int read_row = min(row, out - 1);  // every thread takes part in sums
  Reader readers[outs];
#pragma unroll
  for (int o = 0; o < outs; ++o) {
    readers[o] = job.readers[which + o];
    readers[o].fill(tables[o]);
  }
  __syncthreads();
  float sums[outs * Rows] = {};
  multiply_row<Rows, outs>(readers, tables, read_row, job.in, x, rows, place, sums);
  sum_over_row(sums, place);
  if (place.first != 0 || row >= out) {
    return;
  }
  const auto biased = [&](int o, int m) {
    const Element* const bias = job.biases[which + o];
    return sums[o * Rows + m] + (bias == nullptr ? 0.0F : widened(bias[row]));
  };
#pragma unroll
  for (int m = 0; m < Rows; ++m) {
    if (m < rows) {
      Element* const to = job.products[which] + static_cast<std::int64_t>(m) * out + row;
      if constexpr (Gated) {
        const float gate = rounded_to<Element>(activated(rounded_to<Element>(biased(0, m)), job.gate));
        write(to, gate * rounded_to<Element>(biased(1, m)));
      } else {
        write(to, biased(0, m));
      }
    }
  }
}

/// Launches products of up to eight rows.
template <bool Gated, class Reader, class Element>
void launch_joint(joint_matrices<Reader, Element> job, const Element* x, int rows, const char* where) {
  std::int64_t all = 0;
  for (int i = 0; i < (Gated ? 1 : job.count); ++i) {
    all += job.outs[i];
  }
  job.warps_a_row = warps_a_row(all, job.in, 8, Reader::most_reads);
  const int rows_a_block = warps_of_a_split / job.warps_a_row;
  std::int64_t blocks = 0;
  for (int i = 0; i < (Gated ? 1 : job.count); ++i) {
    job.first_block[i] = static_cast<int>(blocks);
    blocks += (job.outs[i] + rows_a_block - 1) / rows_a_block;
  }
  const auto launch = [&](auto kernel) {
    launch_overlapping(kernel, grid_axis(blocks, where, "weights", "blocks of rows"), split_lanes * warps_of_a_split, 0,
                       job, x, rows);
  };
  if (rows == 1) {
    launch(multiply_joint<Reader, Element, 1, Gated>);
  } else if (rows == 2) {
    launch(multiply_joint<Reader, Element, 2, Gated>);
  } else if (rows <= 4) {
    launch(multiply_joint<Reader, Element, 4, Gated>);
  } else {
    launch(multiply_joint<Reader, Element, 8, Gated>);
  }
}

}  // namespace kvtransfer::kernels
