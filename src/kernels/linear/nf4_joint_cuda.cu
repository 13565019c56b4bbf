#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/linear/joint_product_cuda.cuh"
#include "kernels/linear/nf4_joint.hpp"
#include "kernels/linear/nf4_linear.hpp"
#include "kernels/linear/nf4_matrix_cuda.cuh"
#include "kernels/linear/nf4_tiles_cuda.cuh"
#include "kvtransfer/core/error.hpp"

// Products with several NF4 matrices at once on a GPU: codes are read once for up to eight rows of x.
// nf4_tiles_cuda.cuh and, for what that does not take, joint_product_cuda.cuh say how.

namespace kvtransfer::kernels {
namespace {

/// What every thread looks values up in.
struct nf4_table {
  float values[16];  // each in a bank of its own: no two lanes wait for one another
  float nested[256];
};

__device__ void fill_table(nf4_table& shared, const nf4_codes& matrix) {
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
    if (i < 16) {
      shared.values[i] = nf4_values[i];
    }
    if (matrix.nested_codes != nullptr) {
      shared.nested[i] = matrix.quant_map[i];
    }
  }
}

/// Reads a matrix's codes; see joint_product_cuda.cuh.
template <nf4_rounding Rounding>
struct nf4_reader {
  static constexpr std::int64_t most_reads = 16;  // bringing values back takes longer than reading them
  struct raw {
    std::uint32_t codes;
    float scale;           // of the elements; with nested scales, of their block's scales
    std::uint32_t nested;  // the code of the elements' scale
  };
  using table = nf4_table;

  nf4_codes matrix;

  __device__ void fill(table& shared) const { fill_table(shared, matrix); }

  __device__ raw read_at(std::int64_t first) const {
    const std::int64_t block = first >> matrix.block_shift;
    raw read;
    read.codes = __ldcs(reinterpret_cast<const unsigned int*>(matrix.codes + first / 2));
    if (matrix.nested_codes == nullptr) {
      read.scale = __ldg(matrix.absmax + block);
    } else {
      read.scale = __ldg(matrix.nested_absmax + (block >> matrix.nested_shift));
      read.nested = __ldg(matrix.nested_codes + block);
    }
    return read;
  }

  __device__ raw read(std::int64_t row, int k) const { return read_at(row * matrix.in + k); }

  __device__ void bring_back(const raw& read, const table& shared, float (&values)[8]) const {
    float scale = read.scale;
    if (matrix.nested_codes != nullptr) {  // rounded as PyTorch multiplies and adds, one after the other
      scale = __fadd_rn(__fmul_rn(shared.nested[read.nested], scale), __ldg(matrix.offset));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t byte = read.codes >> (8 * i);
      values[2 * i] = shared.values[(byte >> 4) & 15U] * scale;
      values[2 * i + 1] = shared.values[byte & 15U] * scale;
      round_pair<Rounding>(values[2 * i], values[2 * i + 1]);
    }
  }
};

/// Calls `visit` with an element of x's type and a reader's type for matrices that are rounded so.
template <class Visit>
void with_reader(at::ScalarType dtype, nf4_rounding rounding, Visit&& visit) {
  if (dtype == at::kBFloat16) {
    visit(__nv_bfloat16{}, nf4_reader<nf4_rounding::bfloat16>{});
  } else if (dtype == at::kHalf) {
    visit(__half{}, nf4_reader<nf4_rounding::float16>{});
  } else if (rounding == nf4_rounding::bfloat16) {
    visit(float{}, nf4_reader<nf4_rounding::bfloat16>{});
  } else if (rounding == nf4_rounding::float16) {
    visit(float{}, nf4_reader<nf4_rounding::float16>{});
  } else {
    visit(float{}, nf4_reader<nf4_rounding::none>{});
  }
}

/// Products of any number of rows with up to three matrices of one width and rounding.
template <bool Gated>
std::vector<at::Tensor> nf4_products(const std::vector<nf4_tensors>& matrices, const at::Tensor& x,
                                     const std::vector<optional_tensor>& biases, activation gate) {
  constexpr const char* where = "nf4_linear";
  const c10::cuda::CUDAGuard guard(x.device());
  require<shape_error>(!matrices.empty() && matrices.size() <= most_joint && biases.size() == matrices.size(), where,
                       "codes", "one to three matrices, each with its bias or none",
                       [&] { return std::to_string(matrices.size()); });
  const nf4_rounding rounding = rounding_of(matrices.front().dtype, x.scalar_type(), where);
  const at::Tensor rows = checked_rows(x, matrices.front());
  std::vector<nf4_codes> lowered;
  std::vector<at::Tensor> products;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    lowered.push_back(lower_aligned(matrices[i], rounding, where));
    require<shape_error>(lowered.back().in == rows.size(1), where, "codes", "matrices of one width", "others");
    check_bias(biases[i], x, matrices[i].out);
    if (!Gated || products.empty()) {
      products.push_back(at::empty({rows.size(0), matrices[i].out}, rows.options()));
    }
  }
  const auto multiply_all = [&]<class Element, class Job>(Element, Job job, auto&& take, auto&& launch) {
    job.count = static_cast<int>(matrices.size());
    job.in = static_cast<int>(rows.size(1));
    job.gate = gate;
    for (std::int64_t first = 0; first < rows.size(0); first += nf4_rows_a_pass) {
      for (std::size_t i = 0; i < matrices.size(); ++i) {
        take(job, i);
        job.biases[i] = biases[i] ? elements_of<Element>(*biases[i]) : nullptr;
        job.outs[i] = static_cast<int>(matrices[i].out);
        job.products[i] = i < products.size() ? elements_to<Element>(products[i]) + first * matrices[i].out : nullptr;
      }
      launch(job, elements_of<Element>(rows) + first * rows.size(1),
             static_cast<int>(std::min(nf4_rows_a_pass, rows.size(0) - first)));
    }
  };
  if (x.scalar_type() != at::kFloat && std::ranges::all_of(lowered, fits_tiles) && multiplies_tiles()) {
    const auto multiply_tiled = [&]<class Element>(Element element) {
      multiply_all(
          element, tiled_matrices<Element>{}, [&](auto& job, std::size_t i) { job.matrices[i] = lowered[i]; },
          [&](const auto& job, const Element* from, int count) { launch_tiles<Gated>(job, from, count, where); });
    };
    x.scalar_type() == at::kBFloat16 ? multiply_tiled(__nv_bfloat16{}) : multiply_tiled(__half{});
  } else {
    with_reader(x.scalar_type(), rounding, [&]<class Element, class Reader>(Element element, Reader) {
      multiply_all(
          element, joint_matrices<Reader, Element>{}, [&](auto& job, std::size_t i) { job.readers[i] = {lowered[i]}; },
          [&](const auto& job, const Element* from, int count) { launch_joint<Gated>(job, from, count, where); });
    });
  }
  for (std::size_t i = 0; i < products.size(); ++i) {
    products[i] = shaped_as_result(products[i], x, matrices[i].out);
  }
  return products;
}

/// One struct a matrix out of lists of their tensors; those of nested scales are empty where there are none.
std::vector<nf4_tensors> listed(at::TensorList codes, at::TensorList absmax, at::TensorList nested_absmax,
                                at::TensorList quant_map, at::TensorList offset, at::IntArrayRef out,
                                std::int64_t block_size, std::int64_t nested_block_size, at::ScalarType dtype) {
  const std::size_t nested = nested_absmax.size();
  require<shape_error>(absmax.size() == codes.size() && out.size() == codes.size() &&
                           (nested == 0 || nested == codes.size()) && quant_map.size() == nested &&
                           offset.size() == nested,
                       "nf4_linears", "absmax", "as many of each as codes", "others");
  std::vector<nf4_tensors> matrices;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto of_nested = [&](at::TensorList list) {
      return nested == 0 ? optional_tensor() : optional_tensor(list[i]);
    };
    matrices.push_back({codes[i], absmax[i], of_nested(nested_absmax), of_nested(quant_map), of_nested(offset), out[i],
                        block_size, nested_block_size, dtype});
  }
  return matrices;
}

}  // namespace

std::vector<at::Tensor> nf4_linears_on_cuda(const at::Tensor& x, const optional_tensors& biases, at::TensorList codes,
                                            at::TensorList absmax, at::TensorList nested_absmax,
                                            at::TensorList quant_map, at::TensorList offset, at::IntArrayRef out,
                                            std::int64_t block_size, std::int64_t nested_block_size,
                                            at::ScalarType dtype) {
  return nf4_products<false>(
      listed(codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype), x,
      {biases.begin(), biases.end()}, activation::silu);
}

at::Tensor nf4_gate_on_cuda(const at::Tensor& x, const optional_tensors& biases, at::TensorList codes,
                            at::TensorList absmax, at::TensorList nested_absmax, at::TensorList quant_map,
                            at::TensorList offset, at::IntArrayRef out, std::int64_t block_size,
                            std::int64_t nested_block_size, at::ScalarType dtype, std::string_view name) {
  require<shape_error>(codes.size() == 2 && out.size() == 2 && out[0] == out[1], "nf4_gate", "codes",
                       "two matrices of one shape", "others");
  return nf4_products<true>(
             listed(codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype), x,
             {biases.begin(), biases.end()}, activation_named(name))
      .front();
}

}  // namespace kvtransfer::kernels
