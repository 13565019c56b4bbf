#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE position_row position_row::consecutive(std::int64_t first, std::int64_t count, slot_state state) {
  position_row row;
  row.append({first, count, 1, state});
  return row;
}

KVTRANSFER_INLINE position_row position_row::listed(const std::vector<std::int64_t>& positions, slot_state state) {
  position_row row;
  for (const std::int64_t position : positions) {
    row.append({position, 1, 1, state});
  }
  return row;
}

KVTRANSFER_INLINE void position_row::append(position_run run) {
  require_near(run);
  if (run.count > 1 && run.step != 0 && run.step != 1) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      append({run.at(i), 1, 1, run.state});
    }
    return;
  }
  size_ += std::max(run.count, std::int64_t{0});
  while (run.count > 0 && !runs_.empty() && absorb(runs_.back(), run)) {
  }
  if (run.count > 0) {
    canonicalize(run);
    runs_.push_back(run);
  }
}

KVTRANSFER_INLINE void position_row::append(const position_row& other) {
  for (const position_run& run : other.runs_) {
    append(run);
  }
}

KVTRANSFER_INLINE position_row position_row::slice(std::int64_t begin, std::int64_t end) const {
  require_range<shape_error>(begin, end, size_, "position_row::slice", "range");
  position_row part;
  std::int64_t start = 0;
  for (const position_run& run : runs_) {
    const std::int64_t low = std::max(begin - start, std::int64_t{0});
    const std::int64_t high = std::min(end - start, run.count);
    if (low < high) {
      part.append({run.at(low), high - low, run.step, run.state});
    }
    start += run.count;
  }
  return part;
}

KVTRANSFER_INLINE position_row position_row::gather(const std::vector<std::int64_t>& slots) const {
  const std::vector<position_run> singles = one_run_per_slot();
  position_row picked;
  for (const std::int64_t slot : slots) {
    require_index<shape_error>(slot, size_, "position_row::gather", "slot");
    picked.append(singles[static_cast<std::size_t>(slot)]);
  }
  return picked;
}

KVTRANSFER_INLINE std::vector<position_run> position_row::one_run_per_slot() const {
  std::vector<position_run> singles;
  singles.reserve(static_cast<std::size_t>(size_));
  for (const position_run& run : runs_) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      singles.push_back({run.at(i), 1, 1, run.state});
    }
  }
  return singles;
}

KVTRANSFER_INLINE position_row position_row::shifted(std::int64_t delta) const {
  return transform([delta](position_run run) {
    std::int64_t first = 0;
    if (__builtin_add_overflow(run.first, delta, &first)) {
      fail_far(fmt::format("{} + {}", run.first, delta));
    }
    run.first = first;
    return run;
  });
}

KVTRANSFER_INLINE position_row position_row::with_states_of(const position_row& other) const {
  constexpr std::string_view where = "position_row::with_states_of";
  if (size_ != other.size_) {
    fail<shape_error>(where, "other", fmt::format("{} slots", size_), fmt::format("{}", other.size_));
  }
  position_row mixed;
  for_each_shared_run(other, [&](std::int64_t slot, const position_run& mine, const position_run& theirs) {
    if (mine.state.is_padding() && !theirs.state.is_padding()) {
      fail<shape_error>(where, "positions", "a position for every key", fmt::format("padding at slot {}", slot));
    }
    mixed.append({mine.first, mine.count, mine.step, theirs.state});
  });
  return mixed;
}

KVTRANSFER_INLINE bool position_row::has_states_of(const position_row& other) const {
  bool same = size_ == other.size_;
  for_each_shared_run(other, [&](std::int64_t, const position_run& mine, const position_run& theirs) {
    same &= mine.state == theirs.state;
  });
  return same;
}

KVTRANSFER_INLINE bool position_row::has_keys_of(const position_row& other) const {
  bool same = size_ == other.size_;
  for_each_shared_run(other, [&](std::int64_t, const position_run& mine, const position_run& theirs) {
    same &= mine.state.is_padding() == theirs.state.is_padding();
  });
  return same;
}

KVTRANSFER_INLINE std::vector<std::int64_t> position_row::positions() const {
  std::vector<std::int64_t> all;
  all.reserve(static_cast<std::size_t>(size_));
  for (const position_run& run : runs_) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      all.push_back(run.state.is_padding() ? 0 : run.at(i));
    }
  }
  return all;
}

KVTRANSFER_INLINE std::optional<std::int64_t> position_row::last_position() const {
  std::optional<std::int64_t> last;
  for (const position_run& run : runs_) {
    if (!run.state.is_padding()) {
      const std::int64_t high = std::max(run.at(0), run.at(run.count - 1));
      last = std::max(last.value_or(high), high);
    }
  }
  return last;
}

KVTRANSFER_INLINE std::int64_t position_row::reach() const {
  std::int64_t farthest = 0;
  for (const position_run& run : runs_) {
    const bool held = !run.state.is_padding();
    farthest = held ? std::max({farthest, std::abs(run.first), std::abs(run.at(run.count - 1))}) : farthest;
  }
  return farthest;
}

KVTRANSFER_INLINE std::int64_t position_row::key_count() const {
  std::int64_t count = 0;
  for (const position_run& run : runs_) {
    count += run.state.is_padding() ? 0 : run.count;
  }
  return count;
}

KVTRANSFER_INLINE void position_row::fail_far(std::string_view got) {
  fail<value_error>("position_row", "positions", fmt::format("at most {} from 0", farthest_position), got);
}

KVTRANSFER_INLINE void position_row::require_near(const position_run& run) {
  std::int64_t last = 0;
  const auto is_near = [](std::int64_t position) {
    return position >= -farthest_position && position <= farthest_position;
  };
  if (run.count <= 0 || run.state.is_padding()) {
    return;
  }
  if (__builtin_mul_overflow(run.count - 1, run.step, &last) || __builtin_add_overflow(run.first, last, &last) ||
      !is_near(run.first) || !is_near(last)) {
    fail_far(fmt::format("slots from {} on, {} of them", run.first, run.count));
  }
}

KVTRANSFER_INLINE void position_row::canonicalize(position_run& run) {
  if (run.state.is_padding()) {
    run.first = 0;
    run.step = 0;
  } else if (run.count == 1) {
    run.step = 1;
  }
}

KVTRANSFER_INLINE bool position_row::absorb(position_run& last, position_run& next) {
  if (next.state.is_padding()) {
    canonicalize(next);
  }
  if (!(last.state == next.state)) {
    return false;
  }
  const std::int64_t step = last.count > 1 || last.state.is_padding() ? last.step : next.first - last.first;
  if ((step != 0 && step != 1) || next.first != last.first + last.count * step) {
    return false;
  }
  const std::int64_t taken = next.count == 1 || next.step == step ? next.count : 1;
  last.step = step;
  last.count += taken;
  next.first = next.at(taken);
  next.count -= taken;
  return true;
}

}  // namespace kvtransfer
