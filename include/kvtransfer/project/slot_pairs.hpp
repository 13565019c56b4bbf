#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// Which slot of the source belongs to which slot of the receiver, in every row: entry i of one list to entry i of the
/// other. Slots of the receiver that are not named have no partner.
struct slot_pairs {
  std::vector<std::int64_t> receiver;  ///< rising
  std::vector<std::int64_t> source;    ///< as many

  /// Slot i of one with slot i of the other, for `count` slots.
  [[nodiscard]] static slot_pairs same(std::int64_t count) { return spans({0, count}, 0); }

  /// A span of the receiver's slots with as many of the source's, from `source_begin` on.
  [[nodiscard]] static slot_pairs spans(const slot_range& receiver, std::int64_t source_begin) {
    slot_pairs pairs{std::vector<std::int64_t>(static_cast<std::size_t>(receiver.count)),
                     std::vector<std::int64_t>(static_cast<std::size_t>(receiver.count))};
    std::iota(pairs.receiver.begin(), pairs.receiver.end(), receiver.begin);
    std::iota(pairs.source.begin(), pairs.source.end(), source_begin);
    return pairs;
  }

  friend bool operator==(const slot_pairs&, const slot_pairs&) = default;
};

}  // namespace kvtransfer
