#pragma once

#include <unistd.h>

#include <cstdlib>

namespace phase2a {

/// Has the threads of a parallel loop sleep while they wait for each other, unless the user has said how they are to
/// wait. By default they spin, which slows the program down several times where it shares its cores.
///
/// OpenMP reads its environment when it is loaded, before main; so the program executes itself once more. Where it
/// can't, it goes on as it is.
inline void wait_passively(char** argv) {
  constexpr const char* policy = "OMP_WAIT_POLICY";
  for (const char* chosen : {policy, "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}) {
    if (std::getenv(chosen) != nullptr) {
      return;
    }
  }
  if (::setenv(policy, "passive", 0) == 0) {
    ::execv("/proc/self/exe", argv);
  }
}

}  // namespace phase2a
