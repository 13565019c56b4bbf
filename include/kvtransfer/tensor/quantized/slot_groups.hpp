#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Neighbouring groups of equal length.
struct group_run {
  std::int64_t groups = 0;  ///< how many
  std::int64_t slots = 0;   ///< in each of them

  friend bool operator==(const group_run&, const group_run&) = default;
};

/// How a sequence of slots is cut into groups that share their scales. Lengths may differ: a slice keeps what is left
/// of a group, and a concatenation both parts' groups, so neither has to quantize again.
class slot_groups {
 public:
  slot_groups() = default;

  /// `seq` slots in groups of `group_size`, the last one shorter where it does not divide them.
  [[nodiscard]] static slot_groups of_size(std::int64_t group_size, std::int64_t seq) {
    slot_groups groups;
    groups.append(seq / group_size, group_size);
    groups.append(seq % group_size == 0 ? 0 : 1, seq % group_size);
    return groups;
  }

  /// Groups as `runs()` lists them.
  [[nodiscard]] static slot_groups of_runs(const std::vector<group_run>& runs) {
    slot_groups groups;
    for (const group_run& run : runs) {
      groups.append(run.groups, run.slots);
    }
    return groups;
  }

  /// From the first slot on; neighbouring runs differ in their groups' length.
  [[nodiscard]] const std::vector<group_run>& runs() const { return runs_; }

  /// How many groups.
  [[nodiscard]] std::int64_t count() const {
    std::int64_t groups = 0;
    for (const group_run& run : runs_) {
      groups += run.groups;
    }
    return groups;
  }

  /// How many slots.
  [[nodiscard]] std::int64_t size() const {
    std::int64_t slots = 0;
    for (const group_run& run : runs_) {
      slots += run.groups * run.slots;
    }
    return slots;
  }

  /// One past the last slot of every group, rising.
  [[nodiscard]] std::vector<std::int64_t> ends() const {
    std::vector<std::int64_t> ends;
    std::int64_t slot = 0;
    for (const group_run& run : runs_) {
      for (std::int64_t i = 0; i < run.groups; ++i) {
        ends.push_back(slot += run.slots);
      }
    }
    return ends;
  }

  /// The groups that begin before `slot`: of a slice from there on, the first is this one less one where `slot` lies
  /// within a group.
  [[nodiscard]] std::int64_t begun_before(std::int64_t slot) const {
    std::int64_t groups = 0;
    for (const group_run& run : runs_) {
      const std::int64_t begun =
          slot <= 0 || run.slots == 0 ? 0 : std::min(run.groups, (slot + run.slots - 1) / run.slots);
      groups += begun;
      slot -= run.groups * run.slots;
    }
    return groups;
  }

  /// True if a group begins at `slot`, or there are no slots from there on.
  [[nodiscard]] bool has_cut(std::int64_t slot) const {
    return slice(0, slot).count() + slice(slot, size()).count() == count();
  }

  /// The slots [begin, end). @throws shape_error unless 0 <= begin <= end <= size()
  [[nodiscard]] slot_groups slice(std::int64_t begin, std::int64_t end) const {
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

  /// These groups and `other`'s behind them; none are joined, so every scale stays valid.
  [[nodiscard]] slot_groups followed_by(const slot_groups& other) const {
    slot_groups joined = *this;
    for (const group_run& run : other.runs_) {
      joined.append(run.groups, run.slots);
    }
    return joined;
  }

  friend bool operator==(const slot_groups&, const slot_groups&) = default;

 private:
  void append(std::int64_t groups, std::int64_t slots) {
    if (groups == 0 || slots == 0) {
      return;
    }
    if (!runs_.empty() && runs_.back().slots == slots) {
      runs_.back().groups += groups;
    } else {
      runs_.push_back({groups, slots});
    }
  }

  /// Appends `count` slots of groups of `slots`, from slot `skipped` of the first of them on.
  void append_part(std::int64_t slots, std::int64_t skipped, std::int64_t count) {
    if (count <= 0) {
      return;
    }
    const std::int64_t head = std::min(count, (slots - skipped % slots) % slots);
    append(1, head);
    append((count - head) / slots, slots);
    append(1, (count - head) % slots);
  }

  std::vector<group_run> runs_;
};

}  // namespace kvtransfer
