#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

KVTRANSFER_INLINE slot_table::slot_table(std::int64_t batch, std::int64_t seq, std::vector<slot_span> spans,
                                         std::int64_t block_size)
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
  unstored_ = std::make_shared<const std::vector<unstored_slots>>(left_out_by(spans));
  spans_ = std::make_shared<const std::vector<slot_span>>(std::move(spans));
}

KVTRANSFER_INLINE const std::vector<slot_span>& slot_table::spans() const {
  static const std::vector<slot_span> none;
  return spans_ ? *spans_ : none;
}

KVTRANSFER_INLINE const std::vector<unstored_slots>& slot_table::unstored() const {
  static const std::vector<unstored_slots> none;
  return unstored_ ? *unstored_ : none;
}

KVTRANSFER_INLINE slot_table slot_table::slice(std::int64_t begin, std::int64_t end) const {
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

KVTRANSFER_INLINE std::vector<std::int64_t> slot_table::places(std::int64_t block_size) const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(batch_ * seq_), -1);
  for (const slot_span& span : spans()) {
    for (std::int64_t i = 0; i < span.count; ++i) {
      all[static_cast<std::size_t>(span.batch * seq_ + span.begin + i)] = span.block * block_size + span.slot + i;
    }
  }
  return all;
}

KVTRANSFER_INLINE void slot_table::check(const slot_span& span, const slot_span* before) const {
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

KVTRANSFER_INLINE std::vector<unstored_slots> slot_table::left_out_by(const std::vector<slot_span>& spans) const {
  std::vector<unstored_slots> left_out;
  std::int64_t batch = 0;
  std::int64_t stored_up_to = 0;  // in that sequence
  const auto go_on_to = [&](std::int64_t next, std::int64_t slot) {
    for (; batch < next; ++batch, stored_up_to = 0) {
      if (stored_up_to < seq_) {
        left_out.push_back({batch, {stored_up_to, seq_ - stored_up_to}});
      }
    }
    if (stored_up_to < slot) {
      left_out.push_back({batch, {stored_up_to, slot - stored_up_to}});
    }
  };
  for (const slot_span& span : spans) {
    go_on_to(span.batch, span.begin);
    stored_up_to = span.begin + span.count;
  }
  go_on_to(batch_, 0);
  return left_out;
}

KVTRANSFER_INLINE bool slot_table::any_meet(std::vector<slot_span> spans) {
  std::sort(spans.begin(), spans.end(), [](const slot_span& a, const slot_span& b) {
    return std::tie(a.block, a.slot) < std::tie(b.block, b.slot);
  });
  return std::adjacent_find(spans.begin(), spans.end(), [](const slot_span& a, const slot_span& b) {
           return a.block == b.block && a.slot + a.count > b.slot;
         }) != spans.end();
}

KVTRANSFER_INLINE std::string slot_table::described_limits() const {
  return fmt::format("batch < {}, slots < {}, {} to a block of the storage", batch_, seq_,
                     block_size_ == 0 ? "any number" : fmt::format("{}", block_size_));
}

KVTRANSFER_INLINE std::string slot_table::described(const slot_span& span) {
  return fmt::format("slots [{}, {}) of sequence {} at slot {} of block {}", span.begin, span.begin + span.count,
                     span.batch, span.slot, span.block);
}

}  // namespace kvtransfer::layouts

namespace kvtransfer::layouts::detail {

KVTRANSFER_INLINE std::vector<slot_range> key_slots_of(const position_map& positions, std::int64_t batch) {
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
