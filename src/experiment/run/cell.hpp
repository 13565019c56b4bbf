#pragma once

#include <cstddef>
#include <cstdint>

namespace kvtransfer::detail {

/// One trial of a run: by the numbers of its test and its condition in the run.
struct cell {
  std::size_t test;
  std::size_t condition;
  std::int64_t trial;

  friend bool operator==(const cell&, const cell&) = default;
};

}  // namespace kvtransfer::detail
