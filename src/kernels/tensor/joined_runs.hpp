#pragma once

#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstdint>

#include "kernels/tensor/placed_run.hpp"
#include "kernels/tensor/slot_copy.hpp"
#include "kernels/tensor/transposition.hpp"

// Which slots a CPU transposes at a time.

namespace kvtransfer::kernels {

/// Runs that are copied together. Where one side has slots side by side, they are neighbours there: a table of blocks
/// gives few slots at a time, less than the whole cache lines that memory is best read and written by.
struct joined_runs {
  c10::SmallVector<placed_run, 16> runs;
  std::int64_t slots = 0;
};

/// The longest stretch that a tile writes at once, in bytes.
inline constexpr std::int64_t longest_column = 128;

/// Tiles of 16 KB, whose rows, contiguous where they are read, and columns, contiguous where they are written, are
/// whole cache lines.
struct tile_shape {
  std::int64_t slots;
  std::int64_t elements;
};

template <class Element>
tile_shape shape_for(transposition way) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t bytes = 16384;
  constexpr std::int64_t in_column = longest_column / size;
  constexpr std::int64_t columns = bytes / longest_column;
  return way == transposition::slots_to_columns ? tile_shape{.slots = in_column, .elements = columns}
                                                : tile_shape{.slots = columns, .elements = in_column};
}

/// Cuts and joins the runs [first, last) so that each piece is a tile's slots.
template <class Element>
class run_joiner {
 public:
  run_joiner(const slot_copy& copy, const layer_bytes* layers, std::int64_t first, std::int64_t last)
      : copy_(copy), layers_(layers), way_(transposition_of(copy)), index_(first), last_(last) {}

  /// No runs at the end.
  joined_runs next() {
    joined_runs joined;
    while (find_run() && (joined.runs.empty() || adjoins(joined.runs.back())) && joined.slots < room(joined)) {
      const std::int64_t count = std::min(run_.count, room(joined) - joined.slots);
      joined.runs.push_back({run_.to, run_.from, count});
      joined.slots += count;
      run_.to += count * copy_.to.slot;
      run_.from += run_.from == nullptr ? 0 : count * copy_.from.slot;
      run_.count -= count;
    }
    return joined;
  }

 private:
  /// Whether there is a slot left, which `run_` then begins with.
  bool find_run() {
    while (run_.count == 0 && index_ < last_) {
      run_ = run_of(copy_, layers_, index_++);
    }
    return run_.count > 0;
  }

  [[nodiscard]] bool adjoins(const placed_run& before) const {
    if (before.from == nullptr || run_.from == nullptr) {
      return false;
    }
    return way_ == transposition::slots_to_columns   ? run_.to == before.to + before.count * copy_.to.slot
           : way_ == transposition::columns_to_slots ? run_.from == before.from + before.count * copy_.from.slot
                                                     : false;
  }

  /// Slots of a piece, fewer for one that has to reach the beginning of a cache line first.
  [[nodiscard]] std::int64_t room(const joined_runs& joined) const {
    const std::int64_t slots = shape_for<Element>(way_).slots;
    const char* const to = joined.runs.empty() ? run_.to : joined.runs.front().to;
    const auto past_line = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) % longest_column);
    return way_ == transposition::slots_to_columns ? slots - past_line / static_cast<std::int64_t>(sizeof(Element))
                                                   : slots;
  }

  const slot_copy& copy_;
  const layer_bytes* layers_;
  transposition way_;
  std::int64_t index_;
  std::int64_t last_;
  placed_run run_{};
};

}  // namespace kvtransfer::kernels
