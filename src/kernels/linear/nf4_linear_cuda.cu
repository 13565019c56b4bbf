#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>

#include "kernels/cuda_layers.cuh"
#include "kernels/elements_cuda.cuh"
#include "kernels/linear/nf4_linear.hpp"
#include "kernels/linear/nf4_matrix_cuda.cuh"
#include "kvtransfer/core/error.hpp"

// NF4 on a GPU. A product reads the codes once for up to eight rows of x: a warp owns a row of the matrix or two, a
// lane eight elements of each 256, so that codes and x are read in whole lines.

namespace kvtransfer::kernels {
namespace {

constexpr int warps_a_block = 4;

/// What every thread looks values up in.
struct tables {
  float values[16];  // each in a bank of its own: no two lanes wait for one another
  float nested[256];
};

__device__ void fill(tables& shared, const nf4_codes& matrix) {
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
    if (i < 16) {
      shared.values[i] = nf4_values[i];
    }
    if (matrix.nested_codes != nullptr) {
      shared.nested[i] = matrix.quant_map[i];
    }
  }
  __syncthreads();
}

/// Rounded as PyTorch multiplies and adds, one after the other.
__device__ float scale_of(const nf4_codes& matrix, const tables& shared, std::int64_t block) {
  if (matrix.nested_codes == nullptr) {
    return __ldg(matrix.absmax + block);
  }
  const float outer = __ldg(matrix.nested_absmax + (block >> matrix.nested_shift));
  return __fadd_rn(__fmul_rn(shared.nested[__ldg(matrix.nested_codes + block)], outer), __ldg(matrix.offset));
}

/// The values of the eight elements from `first` on.
template <nf4_rounding Rounding>
__device__ void read_chunk(const nf4_codes& matrix, const tables& shared, std::int64_t first, float (&values)[8]) {
  const std::uint32_t codes = __ldcs(reinterpret_cast<const unsigned int*>(matrix.codes + first / 2));
  const float scale = scale_of(matrix, shared, first >> matrix.block_shift);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t byte = codes >> (8 * i);
    values[2 * i] = rounded<Rounding>(shared.values[(byte >> 4) & 15U] * scale);
    values[2 * i + 1] = rounded<Rounding>(shared.values[byte & 15U] * scale);
  }
}

__device__ void read_x(const float* x, float (&values)[8]) {
  const float4 low = __ldg(reinterpret_cast<const float4*>(x));
  const float4 high = __ldg(reinterpret_cast<const float4*>(x) + 1);
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
}

__device__ void read_x(const __nv_bfloat16* x, float (&values)[8]) {
  const uint4 bits = __ldg(reinterpret_cast<const uint4*>(x));
  const unsigned int words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(words[i] << 16);
    values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
  }
}

__device__ void read_x(const __half* x, float (&values)[8]) {
  const uint4 bits = __ldg(reinterpret_cast<const uint4*>(x));
  const unsigned int words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&words[i]));
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

__device__ float widened(float value) { return value; }
__device__ float widened(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ float widened(__half value) { return __half2float(value); }
__device__ void write(float* place, float value) { *place = value; }
__device__ void write(__nv_bfloat16* place, float value) { *place = __float2bfloat16_rn(value); }
__device__ void write(__half* place, float value) { *place = __float2half_rn(value); }

template <class Element, nf4_rounding Rounding, int Rows, int Outs>
__global__ void __launch_bounds__(lanes* warps_a_block)
    multiply(nf4_codes matrix, const Element* __restrict__ x, int rows, const Element* __restrict__ bias,
             Element* __restrict__ y) {
  __shared__ tables shared;
  fill(shared, matrix);
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const std::int64_t out =
      (static_cast<std::int64_t>(blockIdx.x) * warps_a_block + static_cast<int>(threadIdx.x) / lanes) * Outs;
  float sums[Outs][Rows] = {};
#pragma unroll 4
  for (std::int64_t k = lane * nf4_chunk; k < matrix.in; k += lanes * nf4_chunk) {
    float values[Outs][8];
#pragma unroll
    for (int o = 0; o < Outs; ++o) {
      const std::int64_t row = out + o < matrix.out ? out + o : matrix.out - 1;
      read_chunk<Rounding>(matrix, shared, row * matrix.in + k, values[o]);
    }
#pragma unroll
    for (int m = 0; m < Rows; ++m) {
      float factors[8];
      read_x(x + static_cast<std::int64_t>(m < rows ? m : 0) * matrix.in + k, factors);
#pragma unroll
      for (int o = 0; o < Outs; ++o) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          sums[o][m] = fmaf(values[o][i], factors[i], sums[o][m]);
        }
      }
    }
  }
#pragma unroll
  for (int o = 0; o < Outs; ++o) {
#pragma unroll
    for (int m = 0; m < Rows; ++m) {
      for (int apart = lanes / 2; apart > 0; apart /= 2) {
        sums[o][m] += __shfl_xor_sync(0xffffffffU, sums[o][m], apart);
      }
      if (lane == 0 && m < rows && out + o < matrix.out) {
        const float added = bias == nullptr ? 0.0F : widened(bias[out + o]);
        write(y + m * matrix.out + out + o, sums[o][m] + added);
      }
    }
  }
}

template <class Element>
__global__ void dequantize(nf4_codes matrix, Element* __restrict__ values) {
  __shared__ tables shared;
  fill(shared, matrix);
  const std::int64_t elements = matrix.out * matrix.in;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x * nf4_chunk;
  for (std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * nf4_chunk;
       first < elements; first += stride) {
    float chunk[8];
    read_chunk<nf4_rounding::none>(matrix, shared, first, chunk);
    alignas(16) Element out[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      write(out + i, chunk[i]);
    }
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(out) / 16); ++i) {
      reinterpret_cast<uint4*>(values + first)[i] = reinterpret_cast<const uint4*>(out)[i];
    }
  }
}

template <class Element, nf4_rounding Rounding, int Rows, int Outs>
void launch(const nf4_codes& matrix, const Element* x, int rows, const Element* bias, Element* y) {
  const std::int64_t blocks = (matrix.out + Outs * warps_a_block - 1) / (Outs * warps_a_block);
  multiply<Element, Rounding, Rows, Outs><<<grid_axis(blocks, "nf4_linear", "codes", "rows"), lanes * warps_a_block, 0,
                                            c10::cuda::getCurrentCUDAStream()>>>(matrix, x, rows, bias, y);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Element, nf4_rounding Rounding>
void multiply_all(const nf4_codes& matrix, const Element* x, std::int64_t rows, const Element* bias, Element* y) {
  for (std::int64_t first = 0; first < rows; first += nf4_rows_a_pass) {
    const auto count = static_cast<int>(std::min(nf4_rows_a_pass, rows - first));
    const Element* const from = x + first * matrix.in;
    Element* const to = y + first * matrix.out;
    if (count == 1) {
      launch<Element, Rounding, 1, 1>(matrix, from, count, bias, to);
    } else if (count == 2) {
      launch<Element, Rounding, 2, 1>(matrix, from, count, bias, to);
    } else if (count <= 4) {
      launch<Element, Rounding, 4, 2>(matrix, from, count, bias, to);
    } else {
      launch<Element, Rounding, 8, 2>(matrix, from, count, bias, to);
    }
  }
}

template <class Element>
const Element* data_of(const at::Tensor& tensor) {
  return static_cast<const Element*>(tensor.const_data_ptr());
}

template <class Element, nf4_rounding Rounding>
void multiply_tensors(const nf4_codes& matrix, const at::Tensor& x, const optional_tensor& bias, const at::Tensor& y) {
  multiply_all<Element, Rounding>(matrix, data_of<Element>(x), x.size(0), bias ? data_of<Element>(*bias) : nullptr,
                                  static_cast<Element*>(y.mutable_data_ptr()));
}

}  // namespace

at::Tensor nf4_linear_on_cuda(const nf4_tensors& matrix, const at::Tensor& x, const optional_tensor& bias) {
  const c10::cuda::CUDAGuard guard(x.device());
  const nf4_rounding rounding = rounding_of(matrix.dtype, x.scalar_type(), "nf4_linear");
  const nf4_codes codes = lower_aligned(matrix, rounding, "nf4_linear");
  check_bias(bias, x, codes.out);
  const at::Tensor rows = checked_rows(x, matrix);
  const at::Tensor y = at::empty({rows.size(0), codes.out}, rows.options());
  if (x.scalar_type() == at::kBFloat16) {
    multiply_tensors<__nv_bfloat16, nf4_rounding::bfloat16>(codes, rows, bias, y);
  } else if (x.scalar_type() == at::kHalf) {
    multiply_tensors<__half, nf4_rounding::float16>(codes, rows, bias, y);
  } else if (rounding == nf4_rounding::bfloat16) {
    multiply_tensors<float, nf4_rounding::bfloat16>(codes, rows, bias, y);
  } else if (rounding == nf4_rounding::float16) {
    multiply_tensors<float, nf4_rounding::float16>(codes, rows, bias, y);
  } else {
    multiply_tensors<float, nf4_rounding::none>(codes, rows, bias, y);
  }
  return shaped_as_result(y, x, codes.out);
}

namespace {

template <class Element>
void dequantize_into(const nf4_codes& codes, const at::Tensor& values) {
  constexpr unsigned threads = 256;
  const std::int64_t chunks = codes.out * codes.in / nf4_chunk;
  const std::int64_t blocks = std::min<std::int64_t>((chunks + threads - 1) / threads, 1 << 16);
  dequantize<Element><<<static_cast<unsigned>(blocks), threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
      codes, static_cast<Element*>(values.mutable_data_ptr()));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

at::Tensor nf4_dequantize_on_cuda(const nf4_tensors& matrix) {
  const c10::cuda::CUDAGuard guard(matrix.codes.device());
  const nf4_codes codes =
      lower_aligned(matrix, rounding_of(matrix.dtype, matrix.dtype, "nf4_dequantize"), "nf4_dequantize");
  const at::Tensor values = at::empty({codes.out, codes.in}, matrix.codes.options().dtype(matrix.dtype));
  if (matrix.dtype == at::kBFloat16) {
    dequantize_into<__nv_bfloat16>(codes, values);
  } else if (matrix.dtype == at::kHalf) {
    dequantize_into<__half>(codes, values);
  } else {
    dequantize_into<float>(codes, values);
  }
  return values;
}

}  // namespace kvtransfer::kernels
