#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer::layouts {

/// Slots [begin, begin + count) of one sequence, lying side by side in one block of a storage.
struct slot_span {
  std::int64_t batch = 0;  ///< the sequence
  std::int64_t begin = 0;  ///< first slot of the sequence
  std::int64_t block = 0;  ///< of the storage: a block of a paged cache
  std::int64_t slot = 0;   ///< first slot in that block
  std::int64_t count = 0;  ///< slots; a span of none is left out of a table

  friend bool operator==(const slot_span&, const slot_span&) = default;
};

/// Slots of one sequence that have no storage.
struct unstored_slots {
  std::int64_t batch = 0;  ///< the sequence
  slot_range slots;        ///< of the sequence

  friend bool operator==(const unstored_slots&, const unstored_slots&) = default;
};

/// Where the slots of a batch lie in a storage of blocks, for layouts that strides can't describe. Copying a table
/// copies a pointer.
///
/// A slot that no span names has no storage: whoever reads it finds zeros, and a frame must call it padding. Two slots
/// may share a place, as sequences share the blocks of a common prefix.
class slot_table {
 public:
  slot_table() = default;

  /// @param seq slots of a sequence, stored or not
  /// @param block_size slots that a block of the storage has; 0 where it may have any number that is large enough
  /// @throws shape_error for a span that leaves its block or names a slot of another span
  slot_table(std::int64_t batch, std::int64_t seq, std::vector<slot_span> spans, std::int64_t block_size = 0);

  /// Sequences.
  [[nodiscard]] std::int64_t batch() const { return batch_; }
  /// Slots of every sequence, stored or not.
  [[nodiscard]] std::int64_t seq() const { return seq_; }
  /// Slots of a block; 0 where a storage's blocks may have any number that is large enough.
  [[nodiscard]] std::int64_t block_size() const { return block_size_; }
  /// Blocks that a storage must have at least.
  [[nodiscard]] std::int64_t blocks_needed() const { return blocks_needed_; }
  /// Slots that a block of the storage must have at least.
  [[nodiscard]] std::int64_t slots_needed() const { return slots_needed_; }

  /// Whether two slots lie in one place, so that writing one would change the other.
  [[nodiscard]] bool shares_places() const { return shares_places_; }

  /// Sorted by sequence, then by slot.
  [[nodiscard]] const std::vector<slot_span>& spans() const;

  /// The slots that no span names, in the same order.
  [[nodiscard]] const std::vector<unstored_slots>& unstored() const;

  /// The slots [begin, end) of every sequence. @throws shape_error unless 0 <= begin <= end <= seq
  [[nodiscard]] slot_table slice(std::int64_t begin, std::int64_t end) const;

  /// Where each slot lies, `block * block_size + slot` for slot s of sequence b at entry `b * seq + s`; -1 for a slot
  /// without storage.
  /// @param block_size slots per block of the storage meant
  [[nodiscard]] std::vector<std::int64_t> places(std::int64_t block_size) const;

  friend bool operator==(const slot_table& a, const slot_table& b) {
    return a.batch_ == b.batch_ && a.seq_ == b.seq_ && a.block_size_ == b.block_size_ &&
           (a.spans_ == b.spans_ || a.spans() == b.spans());
  }

 private:
  void check(const slot_span& span, const slot_span* before) const;

  [[nodiscard]] std::vector<unstored_slots> left_out_by(const std::vector<slot_span>& spans) const;

  [[nodiscard]] static bool any_meet(std::vector<slot_span> spans);

  [[nodiscard]] std::string described_limits() const;

  [[nodiscard]] static std::string described(const slot_span& span);

  std::int64_t batch_ = 0;
  std::int64_t seq_ = 0;
  std::int64_t block_size_ = 0;
  std::int64_t blocks_needed_ = 0;
  std::int64_t slots_needed_ = 0;
  bool shares_places_ = false;
  std::shared_ptr<const std::vector<slot_span>> spans_;
  std::shared_ptr<const std::vector<unstored_slots>> unstored_;
};

}  // namespace kvtransfer::layouts

namespace kvtransfer::layouts::detail {

/// The slots of row `batch` that are not padding in every head, from left to right.
[[nodiscard]] std::vector<slot_range> key_slots_of(const position_map& positions, std::int64_t batch);

}  // namespace kvtransfer::layouts::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/layouts/detail/slot_table.ipp"  // IWYU pragma: export
#endif
