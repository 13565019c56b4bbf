#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>

#include <vector>

#include "kernels/linear/few_rows_linear.hpp"
#include "kernels/linear/joint_product_cuda.cuh"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer::kernels {
namespace {

/// Reads a matrix of floating numbers; see joint_product_cuda.cuh.
template <class Element>
struct dense_reader {
  static constexpr std::int64_t most_reads = 4;
  struct raw {
    uint4 words[sizeof(Element) * 8 / 16];
  };
  struct table {};

  const Element* weight;
  int in;

  __device__ void fill(table&) const {}

  __device__ raw read(std::int64_t row, int k) const {
    raw read;
    const uint4* const from = reinterpret_cast<const uint4*>(weight + row * in + k);
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(Element) * 8 / 16); ++i) {
      read.words[i] = __ldcs(from + i);
    }
    return read;
  }

  __device__ void bring_back(const raw& read, const table&, float (&values)[8]) const {
    unpack_eight<Element>(read.words, values);
  }
};

template <bool Gated>
std::vector<at::Tensor> few_rows_products(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                          const std::vector<std::optional<at::Tensor>>& biases, activation gate) {
  constexpr const char* where = "few_rows_linear";
  const c10::cuda::CUDAGuard guard(x.device());
  const joint_tensors joint = checked_few_rows(x, weights, biases);
  std::vector<at::Tensor> products;
  for (const at::Tensor& weight : weights) {
    require<value_error>(weight.size(1) % 8 == 0 && is_aligned(weight) && is_aligned(joint.rows), where, "weight",
                         "rows of a multiple of 8 elements, from an address divisible by 16 on",
                         [&] { return describe(weight); });
    if (!Gated || products.empty()) {
      products.push_back(at::empty(shape_of_product(joint, weight.size(0)), x.options()));
    }
  }
  if (joint.rows.numel() == 0) {
    return products;
  }
  with_cuda_element(x.scalar_type(), where, [&]<class Element>(Element) {
    joint_matrices<dense_reader<Element>, Element> job;
    job.count = static_cast<int>(weights.size());
    job.in = static_cast<int>(joint.rows.size(1));
    job.gate = gate;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      job.readers[i] = {elements_of<Element>(weights[i]), job.in};
      job.biases[i] = biases[i] ? elements_of<Element>(*biases[i]) : nullptr;
      job.outs[i] = static_cast<int>(weights[i].size(0));
      job.products[i] = i < products.size() ? elements_to<Element>(products[i]) : nullptr;
    }
    launch_joint<Gated>(job, elements_of<Element>(joint.rows), static_cast<int>(joint.rows.size(0)), where);
  });
  return products;
}

}  // namespace

at::Tensor few_rows_linear_on_cuda(const at::Tensor& x, const at::Tensor& weight,
                                   const std::optional<at::Tensor>& bias) {
  return few_rows_products<false>(x, {weight}, {bias}, activation::silu).front();
}

std::vector<at::Tensor> few_rows_linears_on_cuda(const at::Tensor& x, at::TensorList weights,
                                                 const optional_tensors& biases) {
  return few_rows_products<false>(x, weights.vec(), {biases.begin(), biases.end()}, activation::silu);
}

at::Tensor few_rows_gate_on_cuda(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up,
                                 const optional_tensors& biases, std::string_view name) {
  require_gate({gate.size(0), up.size(0)}, "few_rows_gate");
  return few_rows_products<true>(x, {gate, up}, {biases.begin(), biases.end()}, activation_named(name)).front();
}

}  // namespace kvtransfer::kernels
