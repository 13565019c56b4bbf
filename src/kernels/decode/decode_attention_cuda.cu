#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <algorithm>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/decode_attention.hpp"
#include "kernels/elements_cuda.cuh"
#include "kvtransfer/tensor/checks.hpp"

// A block attends for one row and one KV head to a share of the row's slots, tile by tile with a running maximum. How
// many shares there are depends on how many slots there may be, not on how many there are: the same launch serves a
// sequence as it grows. Shares are joined in their order, so that a result does not depend on which block ends first.

namespace kvtransfer::kernels {
namespace {

constexpr int threads = 128;
constexpr int tile = 128;  // slots that are scored at once, one by each thread
constexpr int lanes = 32;
constexpr int most_together = 4;  // query heads that one reading of a key serves

/// A block's shared memory, in floats.
struct block_layout {
  std::int64_t queries;  // shared * head_dim, and as many for the context
  std::int64_t scores;   // shared * tile
  std::int64_t parts;    // shared * head_dim for each part of a tile
  std::int64_t heads;    // shared, three times

  [[nodiscard]] __host__ __device__ std::int64_t floats() const { return 2 * queries + scores + parts + 3 * heads; }
};

/// Into how many parts a tile's slots are divided as values are summed: a thread sums two elements for four heads.
__host__ __device__ inline std::int64_t value_items(const cached_attention& a) {
  return a.head_dim / 2 * ((a.shared + most_together - 1) / most_together);
}

__host__ __device__ inline std::int64_t value_parts(const cached_attention& a) {
  const std::int64_t items = value_items(a);
  return items >= threads ? 1 : threads / items;
}

__host__ __device__ inline block_layout layout_of(const cached_attention& a) {
  return {a.shared * a.head_dim, a.shared * tile, value_parts(a) * a.shared * a.head_dim, a.shared};
}

template <class Element>
__device__ const Element* place_of(const cached_attention& a, const row_slots& s, const void* prefix, const void* tail,
                                   std::int64_t slot) {
  return s.in_prefix(slot) ? static_cast<const Element*>(prefix) + (s.prefix_at + slot) * a.head_dim
                           : static_cast<const Element*>(tail) + (s.tail_at + slot - s.prefix) * a.head_dim;
}

/// Scores of one slot for all query heads.
template <class Element>
__device__ void score_slot(const cached_attention& a, const row_slots& s, std::int64_t slot, bool visible,
                           const float* queries, float* scores) {
  const Element* const key = place_of<Element>(a, s, a.prefix_keys, a.tail_keys, slot);
  for (std::int64_t first = 0; first < a.shared; first += most_together) {
    float sums[most_together] = {};
    for (std::int64_t d = 0; visible && d < a.head_dim; d += 8) {
      float elements[8];
      read_eight(key + d, elements);
#pragma unroll
      for (int j = 0; j < most_together; ++j) {
        const float* const q = queries + min(first + j, a.shared - 1) * a.head_dim + d;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          sums[j] = fmaf(q[i], elements[i], sums[j]);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < most_together; ++j) {
      if (first + j < a.shared) {
        float score = sums[j] * a.scale;
        score = a.softcap > 0 ? tanhf(score / a.softcap) * a.softcap : score;
        scores[(first + j) * tile] = visible ? score : -INFINITY;
      }
    }
  }
}

/// One warp turns a head's scores of a tile into weights relative to the highest so far.
__device__ void weigh(float* scores, float& highest, float& sum, float& kept) {
  float best = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x) % lanes; i < tile; i += lanes) {
    best = fmaxf(best, scores[i]);
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    best = fmaxf(best, __shfl_xor_sync(0xffffffffU, best, apart));
  }
  const float before = highest;
  const float now = fmaxf(before, best);
  float added = 0;
  for (int i = static_cast<int>(threadIdx.x) % lanes; i < tile; i += lanes) {
    const float weight = scores[i] == -INFINITY ? 0.0F : expf(scores[i] - now);
    scores[i] = weight;
    added += weight;
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    added += __shfl_xor_sync(0xffffffffU, added, apart);
  }
  __syncwarp();
  if (threadIdx.x % lanes == 0) {
    kept = before == -INFINITY ? 0.0F : expf(before - now);
    highest = now;
    sum = sum * kept + added;
  }
}

__device__ float2 read_two(const float* from) { return *reinterpret_cast<const float2*>(from); }
__device__ float2 read_two(const __nv_bfloat16* from) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from));
}
__device__ float2 read_two(const __half* from) { return __half22float2(*reinterpret_cast<const __half2*>(from)); }

/// Adds a tile's weighted values to the context.
template <class Element>
__device__ void sum_values(const cached_attention& a, const row_slots& s, std::int64_t begin, std::int64_t count,
                           const float* scores, const float* kept, float* parts, float* context) {
  const std::int64_t pairs = a.head_dim / 2;
  const std::int64_t items = value_items(a);
  const std::int64_t part_count = value_parts(a);
  const std::int64_t elements = a.shared * a.head_dim;
  for (std::int64_t i = threadIdx.x; i < items * part_count; i += threads) {
    const std::int64_t part = i / items;
    const std::int64_t d = (i % items) % pairs * 2;
    const std::int64_t first = (i % items) / pairs * most_together;
    float2 sums[most_together] = {};
#pragma unroll 4
    for (std::int64_t k = part; k < count; k += part_count) {
      const float2 value = read_two(place_of<Element>(a, s, a.prefix_values, a.tail_values, begin + k) + d);
#pragma unroll
      for (int j = 0; j < most_together; ++j) {
        const float weight = scores[min(first + j, a.shared - 1) * tile + k];
        sums[j].x = fmaf(weight, value.x, sums[j].x);
        sums[j].y = fmaf(weight, value.y, sums[j].y);
      }
    }
#pragma unroll
    for (int j = 0; j < most_together; ++j) {
      if (first + j < a.shared) {
        const std::int64_t e = (first + j) * a.head_dim + d;
        parts[part * elements + e] = sums[j].x;
        parts[part * elements + e + 1] = sums[j].y;
      }
    }
  }
  __syncthreads();
  for (std::int64_t e = threadIdx.x; e < elements; e += threads) {
    float sum = context[e] * kept[e / a.head_dim];
    for (std::int64_t part = 0; part < part_count; ++part) {
      sum += parts[part * elements + e];
    }
    context[e] = sum;
  }
}

/// @param shares null where a row's slots are one share; else [rows, kv_heads, shares, shared, head_dim + 2]
template <class Element>
__global__ void __launch_bounds__(threads) attend(cached_attention a, int share_count, float* shares) {
  extern __shared__ float memory[];
  const block_layout layout = layout_of(a);
  float* const queries = memory;
  float* const context = queries + layout.queries;
  float* const scores = context + layout.queries;
  float* const parts = scores + layout.scores;
  float* const highest = parts + layout.parts;
  float* const sums = highest + layout.heads;
  float* const kept = sums + layout.heads;
  const std::int64_t row = blockIdx.x / a.kv_heads;
  const std::int64_t kv_head = blockIdx.x % a.kv_heads;
  const std::int64_t first_element = static_cast<std::int64_t>(blockIdx.x) * layout.queries;
  for (std::int64_t e = threadIdx.x; e < layout.queries; e += threads) {
    queries[e] = widened(static_cast<const Element*>(a.q)[first_element + e]);
    context[e] = 0;
  }
  for (std::int64_t j = threadIdx.x; j < a.shared; j += threads) {
    highest[j] = -INFINITY;
    sums[j] = 0;
  }
  const row_slots s = slots_of_row(a, row, kv_head);
  const std::int64_t tiles = (s.end - s.first + tile - 1) / tile;
  const std::int64_t tiles_a_share = (tiles + share_count - 1) / share_count;
  const std::int64_t begin = s.first + blockIdx.y * tiles_a_share * tile;
  const std::int64_t end = min(begin + tiles_a_share * tile, s.end);
  __syncthreads();
  for (std::int64_t from = begin; from < end; from += tile) {
    const std::int64_t slot = from + threadIdx.x;
    const bool visible = slot < end && is_visible(a, s, slot);
    score_slot<Element>(a, s, slot, visible, queries, scores + threadIdx.x);
    __syncthreads();
    for (std::int64_t j = threadIdx.x / lanes; j < a.shared; j += threads / lanes) {
      weigh(scores + j * tile, highest[j], sums[j], kept[j]);
    }
    __syncthreads();
    sum_values<Element>(a, s, from, min(static_cast<std::int64_t>(tile), end - from), scores, kept, parts, context);
    __syncthreads();
  }
  for (std::int64_t e = threadIdx.x; e < layout.queries; e += threads) {
    const std::int64_t j = e / a.head_dim;
    if (shares == nullptr) {
      write(static_cast<Element*>(a.context) + first_element + e, context[e] / sums[j]);
    } else {
      const std::int64_t share = static_cast<std::int64_t>(blockIdx.x) * share_count + blockIdx.y;
      float* const to = shares + (share * a.shared + j) * (a.head_dim + 2);
      to[e % a.head_dim] = context[e];
      if (e % a.head_dim == 0) {
        to[a.head_dim] = highest[j];
        to[a.head_dim + 1] = sums[j];
      }
    }
  }
}

/// A block a query head.
template <class Element>
__global__ void join_shares(cached_attention a, int share_count, const float* __restrict__ shares) {
  const std::int64_t head = blockIdx.x % a.shared;
  const std::int64_t of_row = blockIdx.x / a.shared;  // row and KV head
  const auto share_at = [&](int share) {
    return shares + ((of_row * share_count + share) * a.shared + head) * (a.head_dim + 2);
  };
  float highest = -INFINITY;
  for (int share = 0; share < share_count; ++share) {
    highest = fmaxf(highest, share_at(share)[a.head_dim]);
  }
  for (std::int64_t d = threadIdx.x; d < a.head_dim; d += blockDim.x) {
    float sum = 0;
    float weights = 0;
    for (int share = 0; share < share_count; ++share) {
      const float* const from = share_at(share);
      const float weight = from[a.head_dim] == -INFINITY ? 0.0F : expf(from[a.head_dim] - highest);
      sum = fmaf(weight, from[d], sum);
      weights = fmaf(weight, from[a.head_dim + 1], weights);
    }
    write(static_cast<Element*>(a.context) + blockIdx.x * a.head_dim + d, sum / weights);
  }
}

/// Enough blocks to keep a GPU busy, each with two tiles or more.
int shares_of(const cached_attention& a) {
  constexpr std::int64_t busy = 512;
  constexpr std::int64_t most = 64;
  const std::int64_t tiles = (a.prefix + a.tail + tile - 1) / tile;
  const std::int64_t wanted = (busy + a.rows * a.kv_heads - 1) / (a.rows * a.kv_heads);
  return static_cast<int>(std::clamp<std::int64_t>(std::min(wanted, tiles / 2), 1, most));
}

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& prefix_keys, const at::Tensor& prefix_values,
                            const at::Tensor& tail_keys, const at::Tensor& tail_values, const at::Tensor& sequences,
                            const at::Tensor& lengths, const at::Tensor& prefix_lengths, const at::Tensor& ordinals,
                            const at::Tensor& counts, std::optional<std::int64_t> window, double scale,
                            std::optional<double> softcap) {
  constexpr const char* where = "decode_attention";
  const c10::cuda::CUDAGuard guard(q.device());
  const at::Tensor queries = q.contiguous();
  at::Tensor context = at::empty(q.sizes(), q.options());
  const cached_attention lowered = lower({queries, prefix_keys, prefix_values, tail_keys, tail_values, sequences,
                                          lengths, prefix_lengths, ordinals, counts, window, scale, softcap},
                                         context);
  const std::int64_t bytes = layout_of(lowered).floats() * static_cast<std::int64_t>(sizeof(float));
  constexpr std::int64_t most_bytes = 48 * 1024;  // what every GPU gives a block unasked
  require<shape_error>(bytes <= most_bytes && lowered.head_dim % 8 == 0, where, "q",
                       "heads of a multiple of 8 elements, few enough for a block's memory",
                       [&] { return describe(q); });
  require<value_error>(prefix_keys.scalar_type() == q.scalar_type() && tail_keys.scalar_type() == q.scalar_type(),
                       where, "tail_keys", "q's dtype", [&] { return describe(tail_keys); });
  if (lowered.rows == 0) {
    return context;
  }
  const int share_count = shares_of(lowered);
  at::Tensor shares;
  if (share_count > 1) {
    shares = at::empty({lowered.rows * lowered.kv_heads * share_count * lowered.shared * (lowered.head_dim + 2)},
                       q.options().dtype(at::kFloat));
  }
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  const dim3 grid(grid_axis(lowered.rows * lowered.kv_heads, where, "q", "rows and heads"),
                  static_cast<unsigned>(share_count));
  with_cuda_element(q.scalar_type(), where, [&]<class Element>(Element) {
    attend<Element><<<grid, threads, static_cast<std::size_t>(bytes), stream>>>(
        lowered, share_count, share_count > 1 ? shares.mutable_data_ptr<float>() : nullptr);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    if (share_count > 1) {
      join_shares<Element><<<static_cast<unsigned>(lowered.rows * lowered.kv_heads * lowered.shared),
                             static_cast<unsigned>(std::min<std::int64_t>(lowered.head_dim, 256)), 0, stream>>>(
          lowered, share_count, shares.const_data_ptr<float>());
      C10_CUDA_KERNEL_LAUNCH_CHECK();
    }
  });
  return context;
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("decode_attention", TORCH_FN(kvtransfer::kernels::decode_attention));
}
