#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/tensor/placed_run.hpp"
#include "kernels/tensor/slot_copy.hpp"

namespace kvtransfer::kernels {
namespace {

/// One of the two axes along which a run is copied piece by piece, steps in bytes.
struct run_axis {
  std::int64_t count;
  std::int64_t to;
  std::int64_t from;
};

/// Copies a run in the order in which its source lies; writes may be scattered.
template <class Piece>
void copy_run(const slot_copy& copy, const placed_run& run, const placed_run& next, Piece piece) {
  const bool side_by_side = copy.to.slot == copy.head_bytes() && copy.from.slot == copy.head_bytes();
  const auto bytes = static_cast<std::size_t>((side_by_side ? run.count : 1) * copy.head_bytes());
  run_axis outer{side_by_side ? 1 : run.count, copy.to.slot, copy.from.slot};
  run_axis inner{copy.kv_heads, copy.to.head, copy.from.head};
  if (outer.from < inner.from) {
    std::swap(outer, inner);
  }
  for (std::int64_t i = 0; i < outer.count; ++i) {
    for (std::int64_t j = 0; j < inner.count; ++j) {
      char* const to = run.to + i * outer.to + j * inner.to;
      const std::int64_t from = i * outer.from + j * inner.from;
      if (run.from == nullptr) {
        std::memset(to, 0, bytes);
      } else {
        piece(to, run.from + from, bytes, (next.from == nullptr ? run.from : next.from) + from);
      }
    }
  }
}

}  // namespace

void copy_slots_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  if (copy.is_transposed()) {
    return copy_transposed_on_cpu(copy, layers, count_of_layers);
  }
  share_runs(copy, count_of_layers, [&](std::int64_t first, std::int64_t last, auto piece) {
    placed_run run = run_of(copy, layers, first);
    for (std::int64_t index = first; index < last; ++index) {
      const placed_run next = run_of(copy, layers, std::min(index + 1, last - 1));
      copy_run(copy, run, next, piece);
      run = next;
    }
  });
}

}  // namespace kvtransfer::kernels
