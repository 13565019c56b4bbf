#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "kernels/tensor/slot_copy.hpp"
#include "kernels/tensor/streaming.hpp"

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile with OpenMP (-fopenmp): without it at::parallel_for runs on one thread, and says nothing"
#endif

namespace kvtransfer::kernels {

/// A run of one layer at its addresses.
struct placed_run {
  char* to;
  const char* from;  ///< null where zeros are written
  std::int64_t count;
};

inline placed_run run_of(const slot_copy& copy, const layer_bytes* layers, std::int64_t index) {
  const layer_bytes& layer = layers[index / copy.runs];
  const byte_run run = copy.run_at(index % copy.runs);
  return {layer.to + run.to, run.from < 0 ? nullptr : layer.from + run.from, run.count};
}

/// Calls `copy_runs(first, last, piece)` on all threads, for the runs of all layers in shares; `piece` is how a piece
/// is best copied, copy_streaming or copy_cached: types, since a call for every piece of a line or two would take
/// longer than it.
template <class CopyRuns>
void share_runs(const slot_copy& copy, std::int64_t count_of_layers, CopyRuns&& copy_runs) {
  constexpr std::int64_t bytes_worth_a_thread = 65536;
  const std::int64_t run_bytes = copy.longest_run * copy.kv_heads * copy.head_bytes();
  const std::int64_t runs = count_of_layers * copy.runs;
  const auto by = [&](auto piece) {
    at::parallel_for(0, runs, bytes_worth_a_thread / run_bytes + 1, [&](std::int64_t first, std::int64_t last) {
      copy_runs(first, last, piece);
      finish_streaming();
    });
  };
  if (runs * run_bytes > more_than_caches_keep) {
    by(copy_streaming{});
  } else {
    by(copy_cached{});
  }
}

}  // namespace kvtransfer::kernels
