#pragma once

#include <string>

#include "support/test.hpp"

namespace kvtransfer::test {

/// The message of what `run` throws; empty where it throws nothing of type `Error`.
template <class Error, class Run>
std::string message_of(Run&& run) {
  try {
    run();
  } catch (const Error& thrown) {
    return thrown.what();
  }
  return {};
}

/// Matches a text that has `part` in it: Catch2 renamed its own from version 2 to 3.
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

using Catch::Matchers::EndsWith;
using Catch::Matchers::Equals;
using Catch::Matchers::StartsWith;

}  // namespace kvtransfer::test
