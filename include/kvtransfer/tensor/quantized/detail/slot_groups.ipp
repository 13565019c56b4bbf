#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/slot_groups.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE slot_groups slot_groups::of_size(std::int64_t group_size, std::int64_t seq) {
  slot_groups groups;
  groups.append(seq / group_size, group_size);
  groups.append(seq % group_size == 0 ? 0 : 1, seq % group_size);
  return groups;
}

KVTRANSFER_INLINE slot_groups slot_groups::of_runs(const std::vector<group_run>& runs) {
  slot_groups groups;
  for (const group_run& run : runs) {
    groups.append(run.groups, run.slots);
  }
  return groups;
}

KVTRANSFER_INLINE std::int64_t slot_groups::count() const {
  std::int64_t groups = 0;
  for (const group_run& run : runs_) {
    groups += run.groups;
  }
  return groups;
}

KVTRANSFER_INLINE std::int64_t slot_groups::size() const {
  std::int64_t slots = 0;
  for (const group_run& run : runs_) {
    slots += run.groups * run.slots;
  }
  return slots;
}

KVTRANSFER_INLINE std::vector<std::int64_t> slot_groups::ends() const {
  std::vector<std::int64_t> ends;
  std::int64_t slot = 0;
  for (const group_run& run : runs_) {
    for (std::int64_t i = 0; i < run.groups; ++i) {
      ends.push_back(slot += run.slots);
    }
  }
  return ends;
}

KVTRANSFER_INLINE std::int64_t slot_groups::begun_before(std::int64_t slot) const {
  std::int64_t groups = 0;
  for (const group_run& run : runs_) {
    const std::int64_t begun =
        slot <= 0 || run.slots == 0 ? 0 : std::min(run.groups, (slot + run.slots - 1) / run.slots);
    groups += begun;
    slot -= run.groups * run.slots;
  }
  return groups;
}

KVTRANSFER_INLINE bool slot_groups::has_cut(std::int64_t slot) const {
  return slice(0, slot).count() + slice(slot, size()).count() == count();
}

KVTRANSFER_INLINE slot_groups slot_groups::slice(std::int64_t begin, std::int64_t end) const {
  require_range<shape_error>(begin, end, size(), "slot_groups", "slice");
  slot_groups part;
  std::int64_t slot = 0;
  for (const group_run& run : runs_) {
    const std::int64_t from = std::max(begin, slot);
    slot += run.groups * run.slots;
    part.append_part(run.slots, from - (slot - run.groups * run.slots), std::min(end, slot) - from);
  }
  return part;
}

KVTRANSFER_INLINE slot_groups slot_groups::followed_by(const slot_groups& other) const {
  slot_groups joined = *this;
  for (const group_run& run : other.runs_) {
    joined.append(run.groups, run.slots);
  }
  return joined;
}

KVTRANSFER_INLINE void slot_groups::append(std::int64_t groups, std::int64_t slots) {
  if (groups == 0 || slots == 0) {
    return;
  }
  if (!runs_.empty() && runs_.back().slots == slots) {
    runs_.back().groups += groups;
  } else {
    runs_.push_back({groups, slots});
  }
}

KVTRANSFER_INLINE void slot_groups::append_part(std::int64_t slots, std::int64_t skipped, std::int64_t count) {
  if (count <= 0) {
    return;
  }
  const std::int64_t head = std::min(count, (slots - skipped % slots) % slots);
  append(1, head);
  append((count - head) / slots, slots);
  append(1, (count - head) % slots);
}

}  // namespace kvtransfer
