#include <ATen/Parallel.h>

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kvtransfer/tensor/kernels/slot_copy.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::kernels {
namespace {

using copy_bytes = void (*)(char* to, const char* from, std::size_t bytes);

void copy_cached(char* to, const char* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

/// Writes past the caches: a line that will be written whole need not be read first, which is a third of a large copy's traffic.
void copy_streaming(char* to, const char* from, std::size_t bytes) {
#if defined(__SSE2__)
  if ((reinterpret_cast<std::uintptr_t>(to) | bytes) % 64 == 0) {
    for (std::size_t byte = 0; byte < bytes; byte += 64) {
      __m128i line[4];
      std::memcpy(line, from + byte, sizeof(line));
      auto* const place = reinterpret_cast<__m128i*>(to + byte);
      _mm_stream_si128(place, line[0]);
      _mm_stream_si128(place + 1, line[1]);
      _mm_stream_si128(place + 2, line[2]);
      _mm_stream_si128(place + 3, line[3]);
    }
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}

/// Makes this thread's streamed writes visible before others are told that it has finished.
void finish_streaming() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

/// Copies a run in the order in which its source lies: the processor reads ahead, and writes may be scattered.
void copy_run(const slot_copy& copy, const layer_bytes& layer, const byte_run& run, copy_bytes copy_piece) {
  const bool side_by_side = copy.to.slot == copy.head_bytes && copy.from.slot == copy.head_bytes;
  const std::int64_t pieces = side_by_side ? 1 : run.count;  // of slots, per head
  const std::int64_t bytes = side_by_side ? run.count * copy.head_bytes : copy.head_bytes;
  const bool heads_first = copy.from.head < copy.from.slot;
  const std::int64_t inner = heads_first ? copy.kv_heads : pieces;
  for (std::int64_t index = 0; index < pieces * copy.kv_heads; ++index) {
    const std::int64_t slot = heads_first ? index / inner : index % inner;
    const std::int64_t head = heads_first ? index % inner : index / inner;
    char* const to = layer.to + run.to + slot * copy.to.slot + head * copy.to.head;
    if (run.from < 0) {
      std::memset(to, 0, static_cast<std::size_t>(bytes));
    } else {
      copy_piece(to, layer.from + run.from + slot * copy.from.slot + head * copy.from.head, static_cast<std::size_t>(bytes));
    }
  }
}

}  // namespace

void copy_slots_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  constexpr std::int64_t bytes_worth_a_thread = 65536;
  constexpr std::int64_t more_than_caches_keep = std::int64_t{1} << 24;
  const std::int64_t run_bytes = slots_per_run * copy.kv_heads * copy.head_bytes;
  const std::int64_t runs = count_of_layers * copy.runs;
  const copy_bytes copy_piece = runs * run_bytes > more_than_caches_keep ? copy_streaming : copy_cached;
  at::parallel_for(0, runs, bytes_worth_a_thread / run_bytes + 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t index = first; index < last; ++index) {
      copy_run(copy, layers[index / copy.runs], copy.run_at(index % copy.runs), copy_piece);
    }
    finish_streaming();
  });
}

}  // namespace kvtransfer::kernels
