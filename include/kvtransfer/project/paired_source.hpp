#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/project/slot_pairs.hpp"
#include "kvtransfer/project/token_alignment.hpp"

namespace kvtransfer {

/// For every token of the receiver the slot of the source that stands for it, where each model has read the text in its
/// own tokens: the one that holds its last byte. A token without text, as BOS, has the partner of the token in front of
/// it, the first one the source's first.
/// @param receiver, source see `token_texts` @throws value_error where the two texts are not the same
[[nodiscard]] inline std::vector<std::int64_t> source_slots_by_text(const std::vector<std::string>& receiver,
                                                                    const std::vector<std::string>& source) {
  const slot_pairs pairs = pair_by_text(receiver, source);
  std::vector<std::int64_t> slots;
  std::size_t next = 0;
  for (std::int64_t slot = 0; std::cmp_less(slot, receiver.size()); ++slot) {
    if (next < pairs.receiver.size() && pairs.receiver[next] == slot) {
      slots.push_back(pairs.source[next++]);
    } else {
      slots.push_back(slots.empty() ? 0 : slots.back());
    }
  }
  return slots;
}

/// The slots of `source` that stand for those of a receiver, in the receiver's order and at its positions, so that slot
/// i of one belongs to slot i of the other. One slot may stand for several. Differentiable.
/// @param slots one for each of the receiver's, -1 for its padding
/// @param positions of the receiver's slots
/// @throws shape_error for slots that are not there, or another number of positions; frame_error for keys that cannot
///         be moved
[[nodiscard]] inline cache paired_source(const cache_view<>& source, const slot_choice& slots,
                                         const position_map& positions) {
  cache paired = gather(source, slots, position_overlap::allowed);
  paired.remap(positions);
  return paired;
}

}  // namespace kvtransfer
