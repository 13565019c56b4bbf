#pragma once

#include <cstdint>
#include <vector>

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
  [[nodiscard]] static slot_groups of_size(std::int64_t group_size, std::int64_t seq);

  /// Groups as `runs()` lists them.
  [[nodiscard]] static slot_groups of_runs(const std::vector<group_run>& runs);

  /// From the first slot on; neighbouring runs differ in their groups' length.
  [[nodiscard]] const std::vector<group_run>& runs() const { return runs_; }

  /// How many groups.
  [[nodiscard]] std::int64_t count() const;

  /// How many slots.
  [[nodiscard]] std::int64_t size() const;

  /// One past the last slot of every group, rising.
  [[nodiscard]] std::vector<std::int64_t> ends() const;

  /// The groups that begin before `slot`: of a slice from there on, the first is this one less one where `slot` lies
  /// within a group.
  [[nodiscard]] std::int64_t begun_before(std::int64_t slot) const;

  /// True if a group begins at `slot`, or there are no slots from there on.
  [[nodiscard]] bool has_cut(std::int64_t slot) const;

  /// The slots [begin, end). @throws shape_error unless 0 <= begin <= end <= size()
  [[nodiscard]] slot_groups slice(std::int64_t begin, std::int64_t end) const;

  /// These groups and `other`'s behind them; none are joined, so every scale stays valid.
  [[nodiscard]] slot_groups followed_by(const slot_groups& other) const;

  friend bool operator==(const slot_groups&, const slot_groups&) = default;

 private:
  void append(std::int64_t groups, std::int64_t slots);

  /// Appends `count` slots of groups of `slots`, from slot `skipped` of the first of them on.
  void append_part(std::int64_t slots, std::int64_t skipped, std::int64_t count);

  std::vector<group_run> runs_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/slot_groups.ipp"  // IWYU pragma: export
#endif
