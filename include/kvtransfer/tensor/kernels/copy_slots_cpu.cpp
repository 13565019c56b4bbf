#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "kvtransfer/tensor/kernels/slot_copy.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::kernels {
namespace {

/// Pairs whose heads are copied together. Where one side keeps a token's heads apart and the other side by side, both sides of a
/// block of this many stay in a core's cache.
constexpr std::int64_t pairs_per_block = 32;

/// Pairs that lie behind each other on both sides, or zeros.
struct stretch {
  std::int64_t to = 0;
  std::int64_t from = 0;  ///< below 0: zeros
  std::int64_t bytes = 0;
};

/// Cuts the pairs [begin, end) into stretches; returns their number.
std::int64_t stretches_of(const slot_copy& copy, std::int64_t begin, std::int64_t end, stretch* stretches) {
  std::int64_t count = 0;
  for (std::int64_t pair = begin; pair < end; ++pair) {
    const std::int64_t to = copy.to_offset(pair);
    const std::int64_t from = copy.from_offset(pair);
    stretch* last = count == 0 ? nullptr : stretches + count - 1;
    const bool follows = last != nullptr && last->to + last->bytes == to &&
                         (from < 0 ? last->from < 0 : last->from >= 0 && last->from + last->bytes == from);
    if (follows) {
      last->bytes += copy.head_bytes;
    } else {
      stretches[count++] = {to, from, copy.head_bytes};
    }
  }
  return count;
}

void copy_block(const slot_copy& copy, const layer_bytes& layer, std::int64_t begin, std::int64_t end) {
  stretch stretches[pairs_per_block];
  const std::int64_t count = stretches_of(copy, begin, end, stretches);
  for (std::int64_t head = 0; head < copy.kv_heads; ++head) {
    char* const to = layer.to + head * copy.to.head;
    const char* const from = layer.from + head * copy.from.head;
    for (const stretch* next = stretches; next != stretches + count; ++next) {
      if (next->from < 0) {
        std::memset(to + next->to, 0, static_cast<std::size_t>(next->bytes));
      } else {
        std::memcpy(to + next->to, from + next->from, static_cast<std::size_t>(next->bytes));
      }
    }
  }
}

}  // namespace

void copy_slots_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  constexpr std::int64_t bytes_worth_a_thread = 65536;
  const std::int64_t blocks = (copy.pairs + pairs_per_block - 1) / pairs_per_block;
  const std::int64_t block_bytes = std::min(pairs_per_block, copy.pairs) * copy.kv_heads * copy.head_bytes;
  at::parallel_for(0, count_of_layers * blocks, bytes_worth_a_thread / block_bytes + 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t index = first; index < last; ++index) {
      const std::int64_t begin = index % blocks * pairs_per_block;
      copy_block(copy, layers[index / blocks], begin, std::min(begin + pairs_per_block, copy.pairs));
    }
  });
}

}  // namespace kvtransfer::kernels
