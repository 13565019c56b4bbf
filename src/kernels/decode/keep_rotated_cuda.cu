#include <c10/cuda/CUDAGuard.h>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/keep_rotated.hpp"
#include "kernels/elements_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"

namespace kvtransfer::kernels {
namespace {

constexpr unsigned keep_threads = 128;

/// A thread a pair of elements of one head; heads of queries first, then those of keys, then those of values.
template <class Element>
__global__ void keep(kept_rows kept, Element* q, const Element* k, const Element* v, const Element* cos,
                     const Element* sin, Element* keys, Element* values) {
  let_next_begin();
  wait_for_inputs();
  const std::int64_t pairs = kept.head_dim / 2;
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  const std::int64_t row = blockIdx.x;
  std::int64_t head = item / pairs;
  if (head >= kept.q_heads + 2 * kept.kv_heads) {
    return;
  }
  const std::int64_t pair = item % pairs;
  const std::int64_t sequence = kept.sequences[row];
  const std::int64_t slot = kept.lengths[sequence * kept.length_stride];
  const auto kept_at = [&](std::int64_t of) {
    return ((sequence * kept.kv_heads + of) * kept.tail + slot) * kept.head_dim;
  };
  const Element* from = q + row * kept.q_stride + head * kept.head_dim;
  Element* to = q + (from - q);
  bool rotates = pair < kept.half;
  if (head >= kept.q_heads + kept.kv_heads) {
    head -= kept.q_heads + kept.kv_heads;
    from = v + row * kept.v_stride + head * kept.head_dim;
    to = values + kept_at(head);
    rotates = false;
  } else if (head >= kept.q_heads) {
    head -= kept.q_heads;
    from = k + row * kept.k_stride + head * kept.head_dim;
    to = keys + kept_at(head);
  }
  const element_pair at = elements_of_pair(kept, pair);
  const Element first = from[at.first];
  const Element second = from[at.second];
  if (!rotates) {
    to[at.first] = first;
    to[at.second] = second;
    return;
  }
  const std::int64_t place = kept.table_rows[row] * kept.half + pair;
  const float a = widened(first);
  const float b = widened(second);
  const float c = widened(cos[place]);
  const float s = widened(sin[place]);
  write(to + at.first, __fsub_rn(rounded_to<Element>(__fmul_rn(a, c)), rounded_to<Element>(__fmul_rn(b, s))));
  write(to + at.second, __fadd_rn(rounded_to<Element>(__fmul_rn(b, c)), rounded_to<Element>(__fmul_rn(a, s))));
}

}  // namespace

void keep_rotated_on_cuda(const kept_tensors& in) {
  const c10::cuda::CUDAGuard guard(in.q.device());
  const kept_rows kept = lower(in);
  if (kept.rows == 0) {
    return;
  }
  const std::int64_t items = (kept.q_heads + 2 * kept.kv_heads) * kept.head_dim / 2;
  const dim3 grid(grid_axis(kept.rows, "keep_rotated_", "q", "rows"),
                  static_cast<unsigned>((items + keep_threads - 1) / keep_threads));
  with_cuda_element(in.q.scalar_type(), "keep_rotated_", [&]<class Element>(Element) {
    const Element* const cos = in.cos ? elements_of<Element>(*in.cos) : nullptr;
    const Element* const sin = in.sin ? elements_of<Element>(*in.sin) : nullptr;
    launch_overlapping(keep<Element>, grid, keep_threads, 0, kept, elements_to<Element>(in.q),
                       elements_of<Element>(in.k), elements_of<Element>(in.v), cos, sin,
                       elements_to<Element>(in.tail_keys), elements_to<Element>(in.tail_values));
  });
}

}  // namespace kvtransfer::kernels
