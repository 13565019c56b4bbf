#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/decode_attention.hpp"
#include "kernels/elements_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// A block attends for one row and a few query heads of one KV head to a share of the row's slots, tile by tile with a
// running maximum. As many neighbouring lanes as a key has words of 16 bytes read it together, so that a warp reads
// whole lines and all of a thread's reads are under way at once: a step of one sequence waits for memory, not for
// bandwidth.
//
// How many blocks there are depends on how many slots there may be, not on how many there are: the same launch serves a
// sequence as it grows. Shares are joined in their order, so that a result does not depend on which block ends first.

namespace kvtransfer::kernels {
namespace {

constexpr int attend_threads = 128;
constexpr int attend_warps = attend_threads / lanes;
constexpr int tile = 256;  // slots that are scored before they are weighed

/// How a block's lanes are laid over keys.
struct key_lanes {
  int words;         // of a key that are read, one a lane
  int lanes_a_key;   // a power of two, no less
  int keys_at_once;  // in a block
};

__host__ __device__ inline key_lanes lanes_of(int head_dim) {
  const int words = head_dim / a_word;
  int lanes_a_key = 1;
  while (lanes_a_key < words) {
    lanes_a_key *= 2;
  }
  return {words, lanes_a_key, attend_threads / lanes_a_key};
}

/// What threads of a block tell one another, and behind it the parts of the context that are summed at the end.
template <int Heads>
struct attend_shared {
  float scores[Heads][tile];
  float highest[Heads];
  float sums[Heads];
  float kept[Heads];  // of what was summed before the tile
};

template <class Element>
__device__ const Element* place_of(const cached_attention& a, const row_slots& s, const void* prefix, const void* tail,
                                   int slot) {
  return s.in_prefix(slot) ? static_cast<const Element*>(prefix) + (s.prefix_at + slot) * a.head_dim
                           : static_cast<const Element*>(tail) + (s.tail_at + slot - s.prefix) * a.head_dim;
}

/// Words of 16 bytes that hold a lane's part of a key or value.
template <class Element>
struct lane_words {
  uint4 words[sizeof(Element) * a_word / sizeof(uint4)];

  __device__ void read(const Element* from) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(Element) * a_word / sizeof(uint4)); ++i) {
      words[i] = reinterpret_cast<const uint4*>(from)[i];
    }
  }
};

/// How many keys, and values, a lane has under way.
template <int Heads>
inline constexpr int reads_at_once = Heads <= 2 ? 8 : 4;

/// Scores of a tile's slots, one by each group of lanes at a time.
template <class Element, int Heads>
__device__ void score_tile(const cached_attention& a, const row_slots& s, const key_lanes& over, int begin, int count,
                           const float (&q)[Heads][a_word], attend_shared<Heads>& shared) {
  constexpr int under_way = reads_at_once<Heads>;
  const int word = static_cast<int>(threadIdx.x) % over.lanes_a_key;
  const int key_of_lane = static_cast<int>(threadIdx.x) / over.lanes_a_key;
  for (int first = 0; first < count; first += under_way * over.keys_at_once) {
    lane_words<Element> keys[under_way] = {};
    bool visible[under_way];
#pragma unroll
    for (int u = 0; u < under_way; ++u) {
      const int i = first + u * over.keys_at_once + key_of_lane;
      if (i < count && word < over.words) {
        keys[u].read(place_of<Element>(a, s, a.prefix_keys, a.tail_keys, begin + i) + word * a_word);
      }
    }
#pragma unroll
    for (int u = 0; u < under_way; ++u) {
      const int i = first + u * over.keys_at_once + key_of_lane;
      visible[u] = i < count && is_visible(a, s, begin + i);
    }
#pragma unroll
    for (int u = 0; u < under_way; ++u) {
      const int i = first + u * over.keys_at_once + key_of_lane;
      float key[a_word];
      unpack_eight<Element>(keys[u].words, key);
#pragma unroll
      for (int j = 0; j < Heads; ++j) {
        float score = 0;
#pragma unroll
        for (int e = 0; e < a_word; ++e) {
          score = fmaf(q[j][e], key[e], score);
        }
        for (int apart = over.lanes_a_key / 2; apart > 0; apart /= 2) {
          score += __shfl_xor_sync(0xffffffffU, score, apart);
        }
        if (word == 0 && i < count) {
          score *= a.scale;
          score = a.softcap > 0 ? tanhf(score / a.softcap) * a.softcap : score;
          shared.scores[j][i] = visible[u] ? score : -INFINITY;
        }
      }
    }
  }
}

/// One warp turns a head's scores of a tile into weights relative to the highest so far.
__device__ void weigh(float* scores, int count, float& highest, float& sum, float& kept) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  float best = -INFINITY;
  for (int i = lane; i < count; i += lanes) {
    best = fmaxf(best, scores[i]);
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    best = fmaxf(best, __shfl_xor_sync(0xffffffffU, best, apart));
  }
  const float before = highest;
  const float now = fmaxf(before, best);
  float added = 0;
  for (int i = lane; i < count; i += lanes) {
    const float weight = scores[i] == -INFINITY ? 0.0F : expf(scores[i] - now);
    scores[i] = weight;
    added += weight;
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    added += __shfl_xor_sync(0xffffffffU, added, apart);
  }
  __syncwarp();
  if (lane == 0) {
    kept = before == -INFINITY ? 0.0F : expf(before - now);
    highest = now;
    sum = sum * kept + added;
  }
}

/// The first values of a tile, asked for before their weights are known.
template <class Element, int Heads>
struct first_values {
  lane_words<Element> values[reads_at_once<Heads>];

  __device__ void read(const cached_attention& a, const row_slots& s, const key_lanes& over, int begin, int count) {
    const int word = static_cast<int>(threadIdx.x) % over.lanes_a_key;
#pragma unroll
    for (int u = 0; u < reads_at_once<Heads>; ++u) {
      const int i = static_cast<int>(threadIdx.x) / over.lanes_a_key + u * over.keys_at_once;
      if (word < over.words && i < count) {
        values[u].read(place_of<Element>(a, s, a.prefix_values, a.tail_values, begin + i) + word * a_word);
      }
    }
  }
};

/// Adds a tile's weighted values to what each group of lanes has summed.
template <class Element, int Heads>
__device__ void sum_values(const cached_attention& a, const row_slots& s, const key_lanes& over, int begin, int count,
                           const first_values<Element, Heads>& read, const attend_shared<Heads>& shared,
                           float (&context)[Heads][a_word]) {
  const int word = static_cast<int>(threadIdx.x) % over.lanes_a_key;
#pragma unroll
  for (int j = 0; j < Heads; ++j) {
#pragma unroll
    for (int e = 0; e < a_word; ++e) {
      context[j][e] *= shared.kept[j];
    }
  }
  if (word >= over.words) {
    return;
  }
  const auto add = [&](const lane_words<Element>& from, int i) {
    float value[a_word];
    unpack_eight<Element>(from.words, value);
#pragma unroll
    for (int j = 0; j < Heads; ++j) {
      const float weight = shared.scores[j][i];
#pragma unroll
      for (int e = 0; e < a_word; ++e) {
        context[j][e] = fmaf(weight, value[e], context[j][e]);
      }
    }
  };
  int i = static_cast<int>(threadIdx.x) / over.lanes_a_key;
#pragma unroll
  for (int u = 0; u < reads_at_once<Heads>; ++u, i += over.keys_at_once) {
    if (i < count) {
      add(read.values[u], i);
    }
  }
#pragma unroll 4
  for (; i < count; i += over.keys_at_once) {
    lane_words<Element> value;
    value.read(place_of<Element>(a, s, a.prefix_values, a.tail_values, begin + i) + word * a_word);
    add(value, i);
  }
}

/// Asks for a row's first keys and values while the kernel in front still runs. Which slots they are in may be what the
/// step before left: nothing is used of what is read here, so it costs at most the asking.
template <class Element>
__device__ void expect_slots(const cached_attention& a, std::int64_t row, std::int64_t kv_head) {
  const auto known = [](const std::int64_t* from) { return __ldcg(reinterpret_cast<const long long*>(from)); };
  const std::int64_t sequence = known(a.sequences + row);
  if (sequence < 0 || sequence >= a.tails) {
    return;
  }
  const std::int64_t group = sequence / a.members;
  const auto room = [](std::int64_t filled, std::int64_t slots) {
    return max(std::int64_t{0}, min(min(filled, slots), static_cast<std::int64_t>(tile)));
  };
  const std::int64_t prefix = room(known(a.prefix_lengths + group), a.prefix);
  const std::int64_t tail = room(known(a.lengths + sequence * a.length_stride) + 1, a.tail);
  const std::int64_t bytes = a.head_dim * static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t line = 128;
  const auto ask = [&](const void* slots, std::int64_t first, std::int64_t count) {
    const char* const from = static_cast<const char*>(slots) + first * bytes;
    for (std::int64_t at = static_cast<std::int64_t>(threadIdx.x) * line; at < count * bytes;
         at += attend_threads * line) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(from + at));
    }
  };
  const std::int64_t prefix_at = (group * a.kv_heads + kv_head) * a.prefix;
  const std::int64_t tail_at = (sequence * a.kv_heads + kv_head) * a.tail;
  ask(a.prefix_keys, prefix_at, prefix);
  ask(a.tail_keys, tail_at, tail);
  ask(a.prefix_values, prefix_at, prefix);
  ask(a.tail_values, tail_at, tail);
}

/// @param parts blocks that have one KV head's query heads among them
/// @param shares null where a row's slots are one share; else [rows, q_heads, shares, head_dim + 2]
template <class Element, int Heads>
__global__ void __launch_bounds__(attend_threads)
    attend(cached_attention a, int parts, int share_count, float* shares) {
  let_next_begin();
  const int kv_heads = static_cast<int>(a.kv_heads);
  const int kv_head = static_cast<int>(blockIdx.x) / parts % kv_heads;
  const int row = static_cast<int>(blockIdx.x) / (kv_heads * parts);
  if (blockIdx.y == 0 && static_cast<int>(blockIdx.x) % parts == 0) {
    expect_slots<Element>(a, row, kv_head);
  }
  wait_for_inputs();
  __shared__ attend_shared<Heads> shared;
  extern __shared__ float summed[];  // [warps, Heads, head_dim]
  const int head_dim = static_cast<int>(a.head_dim);
  const key_lanes over = lanes_of(head_dim);
  const int word = static_cast<int>(threadIdx.x) % over.lanes_a_key;
  const row_slots s = slots_of_row(a, row, kv_head);
  const std::int64_t first_head = static_cast<std::int64_t>(blockIdx.x) * Heads;
  float q[Heads][a_word] = {};
  float context[Heads][a_word] = {};
  if (word < over.words) {
#pragma unroll
    for (int j = 0; j < Heads; ++j) {
      read_eight(static_cast<const Element*>(a.q) + (first_head + j) * head_dim + word * a_word, q[j]);
    }
  }
  if (threadIdx.x < Heads) {
    shared.highest[threadIdx.x] = -INFINITY;
    shared.sums[threadIdx.x] = 0;
  }
  const int slots = static_cast<int>(s.end - s.first);
  const int tiles_a_share = ((slots + tile - 1) / tile + share_count - 1) / share_count;
  const int begin = static_cast<int>(s.first) + static_cast<int>(blockIdx.y) * tiles_a_share * tile;
  const int end = min(begin + tiles_a_share * tile, static_cast<int>(s.end));
  for (int from = begin; from < end; from += tile) {
    const int count = min(tile, end - from);
    first_values<Element, Heads> values;
    values.read(a, s, over, from, count);
    score_tile<Element, Heads>(a, s, over, from, count, q, shared);
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x) / lanes; j < Heads; j += attend_warps) {
      weigh(shared.scores[j], count, shared.highest[j], shared.sums[j], shared.kept[j]);
    }
    __syncthreads();
    sum_values<Element, Heads>(a, s, over, from, count, values, shared, context);
    __syncthreads();
  }
  // Lanes of one word hold parts of the same elements: those of a warp first, then those of all warps.
#pragma unroll
  for (int j = 0; j < Heads; ++j) {
#pragma unroll
    for (int e = 0; e < a_word; ++e) {
      for (int apart = lanes / 2; apart >= over.lanes_a_key; apart /= 2) {
        context[j][e] += __shfl_xor_sync(0xffffffffU, context[j][e], apart);
      }
      if (static_cast<int>(threadIdx.x) % lanes < over.words) {
        summed[(static_cast<int>(threadIdx.x) / lanes * Heads + j) * head_dim + word * a_word + e] = context[j][e];
      }
    }
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < Heads * head_dim; e += attend_threads) {
    const int j = e / head_dim;
    float sum = 0;
    for (int warp = 0; warp < attend_warps; ++warp) {
      sum += summed[warp * Heads * head_dim + e];
    }
    if (shares == nullptr) {
      write(static_cast<Element*>(a.context) + first_head * head_dim + e, sum / shared.sums[j]);
    } else {
      float* const to = shares + ((first_head + j) * share_count + blockIdx.y) * (head_dim + 2);
      to[e % head_dim] = sum;
      if (e % head_dim == 0) {
        to[head_dim] = shared.highest[j];
        to[head_dim + 1] = shared.sums[j];
      }
    }
  }
}

/// A block a query head.
template <class Element>
__global__ void join_shares(int head_dim, int share_count, const float* shares, Element* context) {
  let_next_begin();
  wait_for_inputs();
  const float* const first = shares + static_cast<std::int64_t>(blockIdx.x) * share_count * (head_dim + 2);
  float highest = -INFINITY;
  for (int share = 0; share < share_count; ++share) {
    highest = fmaxf(highest, first[share * (head_dim + 2) + head_dim]);
  }
  for (int d = static_cast<int>(threadIdx.x); d < head_dim; d += static_cast<int>(blockDim.x)) {
    float sum = 0;
    float weights = 0;
    for (int share = 0; share < share_count; ++share) {
      const float* const from = first + share * (head_dim + 2);
      const float weight = from[head_dim] == -INFINITY ? 0.0F : expf(from[head_dim] - highest);
      sum = fmaf(weight, from[d], sum);
      weights = fmaf(weight, from[head_dim + 1], weights);
    }
    write(context + static_cast<std::int64_t>(blockIdx.x) * head_dim + d, sum / weights);
  }
}

/// How a launch is divided.
struct division {
  int heads;   // query heads of a block
  int shares;  // of a row's slots
};

/// Few query heads a block where there would be few blocks, many where keys are many: blocks of one KV head read the
/// same keys, which caches hold only so many of.
division division_of(const cached_attention& a) {
  constexpr std::int64_t busy = 256;  // blocks that keep a GPU busy
  constexpr std::int64_t most_shares = 64;
  const std::int64_t tiles = (a.prefix + a.tail + tile - 1) / tile;
  int heads = 1;
  for (const int more : {2, 3, 4, 8}) {
    const bool fits = a.shared % more == 0 && (more < 8 || a.head_dim <= 128);
    if (fits && (tiles > 8 || a.rows * a.kv_heads * (a.shared / more) >= busy)) {
      heads = more;
    }
  }
  const std::int64_t blocks = a.rows * a.kv_heads * (a.shared / heads);
  const std::int64_t shares = std::min((4 * busy + blocks - 1) / blocks, tiles);
  return {heads, tiles > 2 ? static_cast<int>(std::clamp<std::int64_t>(shares, 1, most_shares)) : 1};
}

}  // namespace

at::Tensor decode_attention_on_cuda(const attention_tensors& tensors) {
  constexpr const char* where = "decode_attention";
  const at::Tensor& q = tensors.q;
  const c10::cuda::CUDAGuard guard(q.device());
  attention_tensors in = tensors;
  in.q = q.contiguous();
  at::Tensor context = at::empty(q.sizes(), q.options());
  const cached_attention lowered = lower(in, context);
  require<shape_error>(attends_on_gpu(lowered.head_dim), where, "q", "heads of a multiple of 8 elements, up to 256",
                       [&] { return describe(q); });
  require<value_error>(in.prefix_keys.scalar_type() == q.scalar_type() && in.tail_keys.scalar_type() == q.scalar_type(),
                       where, "tail_keys", "q's dtype", [&] { return describe(in.tail_keys); });
  if (lowered.rows == 0) {
    return context;
  }
  const division divided = division_of(lowered);
  const auto parts = static_cast<int>(lowered.shared / divided.heads);
  const std::int64_t heads = lowered.rows * lowered.kv_heads * lowered.shared;
  const int share_count = divided.shares;
  at::Tensor shares;
  if (share_count > 1) {
    shares = at::empty({heads * share_count * (lowered.head_dim + 2)}, q.options().dtype(at::kFloat));
  }
  const dim3 grid(grid_axis(heads / divided.heads, where, "q", "rows and heads"), static_cast<unsigned>(share_count));
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(attend_warps * divided.heads * lowered.head_dim);
  with_cuda_element(q.scalar_type(), where, [&]<class Element>(Element) {
    const auto launch = [&](auto kernel) {
      launch_overlapping(kernel, grid, attend_threads, bytes, lowered, parts, share_count,
                         share_count > 1 ? shares.mutable_data_ptr<float>() : static_cast<float*>(nullptr));
    };
    switch (divided.heads) {
      case 1:
        launch(attend<Element, 1>);
        break;
      case 2:
        launch(attend<Element, 2>);
        break;
      case 3:
        launch(attend<Element, 3>);
        break;
      case 4:
        launch(attend<Element, 4>);
        break;
      default:
        launch(attend<Element, 8>);
    }
    if (share_count > 1) {
      launch_overlapping(join_shares<Element>, static_cast<unsigned>(heads), 64, 0, static_cast<int>(lowered.head_dim),
                         share_count, shares.const_data_ptr<float>(), elements_to<Element>(context));
    }
  });
  return context;
}

}  // namespace kvtransfer::kernels
