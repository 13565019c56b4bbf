#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/activation_cuda.cuh"
#include "kernels/decode/gated_activation.hpp"
#include "kernels/elements_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"

namespace kvtransfer::kernels {
namespace {

constexpr unsigned activation_threads = 256;

template <class Element>
__global__ void gate_rows(const Element* gate, std::int64_t gate_stride, const Element* up, std::int64_t up_stride,
                          std::int64_t width, std::int64_t elements, activation how, Element* result) {
  let_next_begin();
  wait_for_inputs();
  const std::int64_t e = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e >= elements) {
    return;
  }
  const std::int64_t row = e / width;
  const float x = widened(gate[row * gate_stride + e % width]);
  const float factor = widened(up[row * up_stride + e % width]);
  write(result + e, rounded_to<Element>(activated(x, how)) * factor);
}

}  // namespace

at::Tensor gated_on_cuda(const at::Tensor& gate, const at::Tensor& up, std::string_view name) {
  const c10::cuda::CUDAGuard guard(gate.device());
  const gated_rows in = checked_gate(gate, up);
  at::Tensor result = at::empty(gate.sizes(), gate.options());
  const activation how = activation_named(name);
  const std::int64_t blocks = (result.numel() + activation_threads - 1) / activation_threads;
  if (blocks > 0) {
    with_cuda_element(gate.scalar_type(), "gated_activation", [&]<class Element>(Element) {
      launch_overlapping(gate_rows<Element>, grid_axis(blocks, "gated_activation", "gate", "blocks of elements"),
                         activation_threads, 0, elements_of<Element>(in.gate), in.gate.stride(0),
                         elements_of<Element>(in.up), in.up.stride(0), in.gate.size(1), result.numel(), how,
                         elements_to<Element>(result));
    });
  }
  return result;
}

}  // namespace kvtransfer::kernels
