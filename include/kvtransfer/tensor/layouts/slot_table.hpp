#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
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
  slot_table(std::int64_t batch, std::int64_t seq, std::vector<slot_span> spans, std::int64_t block_size = 0)
      : batch_(batch), seq_(seq), block_size_(block_size) {
    std::erase_if(spans, [](const slot_span& span) { return span.count == 0; });
    std::sort(spans.begin(), spans.end(), [](const slot_span& a, const slot_span& b) {
      return std::tie(a.batch, a.begin) < std::tie(b.batch, b.begin);
    });
    const slot_span* before = nullptr;
    for (const slot_span& span : spans) {
      check(span, before);
      before = &span;
      blocks_needed_ = std::max(blocks_needed_, span.block + 1);
      slots_needed_ = std::max(slots_needed_, span.slot + span.count);
    }
    shares_places_ = any_meet(spans);
    spans_ = std::make_shared<const std::vector<slot_span>>(std::move(spans));
  }

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
  [[nodiscard]] const std::vector<slot_span>& spans() const {
    static const std::vector<slot_span> none;
    return spans_ ? *spans_ : none;
  }

  /// The slots [begin, end) of every sequence. @throws shape_error unless 0 <= begin <= end <= seq
  [[nodiscard]] slot_table slice(std::int64_t begin, std::int64_t end) const {
    require_range<shape_error>(begin, end, seq_, "slot_table::slice", "range");
    std::vector<slot_span> kept;
    for (slot_span span : spans()) {
      const std::int64_t low = std::max(begin, span.begin);
      const std::int64_t high = std::min(end, span.begin + span.count);
      if (low < high) {
        kept.push_back({span.batch, low - begin, span.block, span.slot + low - span.begin, high - low});
      }
    }
    return slot_table(batch_, end - begin, std::move(kept), block_size_);
  }

  /// Where each slot lies, `block * block_size + slot` for slot s of sequence b at entry `b * seq + s`; -1 for a slot
  /// without storage.
  /// @param block_size slots per block of the storage meant
  [[nodiscard]] std::vector<std::int64_t> places(std::int64_t block_size) const {
    std::vector<std::int64_t> all(static_cast<std::size_t>(batch_ * seq_), -1);
    for (const slot_span& span : spans()) {
      for (std::int64_t i = 0; i < span.count; ++i) {
        all[static_cast<std::size_t>(span.batch * seq_ + span.begin + i)] = span.block * block_size + span.slot + i;
      }
    }
    return all;
  }

  friend bool operator==(const slot_table& a, const slot_table& b) {
    return a.batch_ == b.batch_ && a.seq_ == b.seq_ && a.block_size_ == b.block_size_ &&
           (a.spans_ == b.spans_ || a.spans() == b.spans());
  }

 private:
  void check(const slot_span& span, const slot_span* before) const {
    const bool inside = span.batch >= 0 && span.batch < batch_ && span.begin >= 0 && span.count > 0 &&
                        span.begin + span.count <= seq_ && span.block >= 0 && span.slot >= 0 &&
                        (block_size_ == 0 || span.slot + span.count <= block_size_);
    if (!inside) {
      fail<shape_error>("slot_table", "span", described_limits(), described(span));
    }
    if (before != nullptr && before->batch == span.batch && before->begin + before->count > span.begin) {
      fail<shape_error>("slot_table", "span", "each slot in one place", described(span));
    }
  }

  [[nodiscard]] static bool any_meet(std::vector<slot_span> spans) {
    std::sort(spans.begin(), spans.end(), [](const slot_span& a, const slot_span& b) {
      return std::tie(a.block, a.slot) < std::tie(b.block, b.slot);
    });
    return std::adjacent_find(spans.begin(), spans.end(), [](const slot_span& a, const slot_span& b) {
             return a.block == b.block && a.slot + a.count > b.slot;
           }) != spans.end();
  }

  [[nodiscard]] std::string described_limits() const {
    return fmt::format("batch < {}, slots < {}, {} to a block of the storage", batch_, seq_,
                       block_size_ == 0 ? "any number" : fmt::format("{}", block_size_));
  }

  [[nodiscard]] static std::string described(const slot_span& span) {
    return fmt::format("slots [{}, {}) of sequence {} at slot {} of block {}", span.begin, span.begin + span.count,
                       span.batch, span.slot, span.block);
  }

  std::int64_t batch_ = 0;
  std::int64_t seq_ = 0;
  std::int64_t block_size_ = 0;
  std::int64_t blocks_needed_ = 0;
  std::int64_t slots_needed_ = 0;
  bool shares_places_ = false;
  std::shared_ptr<const std::vector<slot_span>> spans_;
};

}  // namespace kvtransfer::layouts

namespace kvtransfer::layouts::detail {

/// The slots of row `batch` that are not padding in every head, from left to right.
[[nodiscard]] inline std::vector<slot_range> key_slots_of(const position_map& positions, std::int64_t batch) {
  std::vector<char> valid(static_cast<std::size_t>(positions.size()), 0);
  for (std::int64_t head = 0; head < positions.heads(); ++head) {
    auto slot = valid.begin();
    for (const position_run& run : positions.row(0, batch, head).runs()) {
      const auto end = slot + run.count;
      if (!run.state.is_padding()) {
        std::fill(slot, end, 1);
      }
      slot = end;
    }
  }
  std::vector<slot_range> found;
  for (std::int64_t slot = 0; slot < positions.size(); ++slot) {
    if (valid[static_cast<std::size_t>(slot)] == 0) {
      continue;
    }
    if (!found.empty() && found.back().end() == slot) {
      ++found.back().count;
    } else {
      found.push_back({slot, 1});
    }
  }
  return found;
}

}  // namespace kvtransfer::layouts::detail
