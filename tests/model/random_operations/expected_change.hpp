#pragma once

// What an operation must do, said by the plain vectors before the library does it.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "model/random_operations/reference_cache.hpp"

namespace kvtransfer::test {

/// Both sides of one cache.
struct held_cache {
  cache library;
  reference_cache expected;
  std::uint64_t number;  ///< no two caches have one
};

/// An operation as it must come out.
/// @tparam Made what the library makes of it: a cache, or nothing where it changes the one it is given
template <class Made>
struct expected_change {
  std::string words = {};          ///< what is done, for people; empty: there is nothing to do
  bool refused = false;            ///< whether the library must refuse it
  reference_cache result = {};     ///< what must come out where it does not
  std::function<Made()> act = {};  ///< does it
};

/// Whether `act` was refused by one of the library's errors; anything else that is thrown goes on.
struct attempt_outcome {
  bool refused = false;
  std::string message;
};

template <class Act>
attempt_outcome attempt(Act&& act) {
  try {
    act();
    return {};
  } catch (const error& refusal) {
    return {true, refusal.what()};
  }
}

}  // namespace kvtransfer::test
