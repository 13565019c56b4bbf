#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// Copies on a CPU that are too large for its caches.

namespace kvtransfer::kernels {

/// Copies of more bytes than this leave the caches before anybody reads what was written.
inline constexpr std::int64_t more_than_caches_keep = std::int64_t{1} << 24;

/// Copies one piece; `next` is what will be read a while later.
struct copy_cached {
  void operator()(char* to, const char* from, std::size_t bytes, const char* /*next*/) const {
    std::memcpy(to, from, bytes);
  }
};

/// Writes past the caches, because a line that is written whole need not be read first, which is a third of a large
/// copy's traffic; and fetches what comes next, because pieces lie apart and the processor follows a source only to the
/// end of its page. Into the second cache: in the first, lines a power of two apart drive one another out.
struct copy_streaming {
  void operator()(char* to, const char* from, std::size_t bytes, const char* next) const {
#if defined(__SSE2__)
    if ((reinterpret_cast<std::uintptr_t>(to) | bytes) % 64 == 0) {
      for (std::size_t byte = 0; byte < bytes; byte += 64) {
        _mm_prefetch(next + byte, _MM_HINT_T1);
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
    copy_cached{}(to, from, bytes, next);
  }
};

/// Begins to read what is wanted soon, into the second cache: the first is too small to keep it until then.
inline void fetch_ahead([[maybe_unused]] const char* from, [[maybe_unused]] std::size_t bytes) {
#if defined(__SSE2__)
  for (std::size_t byte = 0; byte < bytes; byte += 64) {
    _mm_prefetch(from + byte, _MM_HINT_T1);
  }
#endif
}

/// Makes this thread's streamed writes visible before others are told that it has finished.
inline void finish_streaming() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace kvtransfer::kernels
