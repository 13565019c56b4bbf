// The one way in to Catch2: include this after everything else. Catch's macros must come last, since torch redefines
// CHECK (pytorch issue 159444), and version 2 (Debian 12) has another header than version 3 (Ubuntu 24.04).

#ifndef KVT_SUPPORT_TEST_HPP
#define KVT_SUPPORT_TEST_HPP

#include <ATen/detail/CUDAHooksInterface.h>

#ifdef CHECK
#undef CHECK
#endif

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

namespace kvtransfer::test {

#if __has_include(<catch2/catch_all.hpp>)
using Catch::Approx;
#else
using Catch::Detail::Approx;
#endif

/// Whether there is a GPU to test on. Says so on the test's output where there is none: a skipped test must be seen.
inline bool cuda_available() {
  const bool available = at::detail::getCUDAHooks().hasCUDA();
  if (!available) {
    WARN("skipped: no CUDA device");
  }
  return available;
}

}  // namespace kvtransfer::test

#endif  // KVT_SUPPORT_TEST_HPP

// Several test files may be compiled as one, and a header of torch may have redefined CHECK since the last of them: as
// Catch has it.
#undef CHECK
#define CHECK(...) INTERNAL_CATCH_TEST("CHECK", Catch::ResultDisposition::ContinueOnFailure, __VA_ARGS__)
