#pragma once

// A cache on plain vectors, which say for every slot which token's key it holds and where that stands.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "model/vector_model.hpp"

namespace kvtransfer::test {

/// One slot of one layer, sequence and head.
struct reference_slot {
  std::shared_ptr<const written_token> key = {};    ///< null: padding
  std::shared_ptr<const written_token> value = {};  ///< another's in a mixture of halves
  std::size_t key_layer = 0, key_head = 0;          ///< from which of the token's
  std::size_t value_layer = 0, value_head = 0;      ///< likewise
  std::int64_t position = 0;                        ///< where the key stands, or is to be rotated to
  bool rotated = true;
  std::int64_t stored_position = 0;  ///< the same of the key as it lies in memory
  bool stored_rotated = true;
  double value_scale = 1;
  bool edited = false;

  [[nodiscard]] bool moves() const {
    return key != nullptr && (position != stored_position || rotated != stored_rotated);
  }
};

/// One layer: `[batch][kv_head][slot]`.
using reference_rows = std::vector<std::vector<std::vector<reference_slot>>>;

/// A cache on plain vectors.
struct reference_cache {
  std::vector<reference_rows> layers;
  bool origin_known = true;

  [[nodiscard]] std::size_t batch() const { return layers.front().size(); }
  [[nodiscard]] std::size_t size(std::size_t layer) const { return layers[layer].front().front().size(); }
  [[nodiscard]] std::size_t shortest() const {
    std::size_t least = size(0);
    for (std::size_t layer = 1; layer < layers.size(); ++layer) {
      least = std::min(least, size(layer));
    }
    return least;
  }

  /// Calls `visit(slot)` for every key.
  template <class Visit>
  void for_each_key(Visit&& visit) {
    for_each_row([&](std::vector<reference_slot>& row, std::size_t, std::size_t, std::size_t) {
      for (reference_slot& slot : row) {
        if (slot.key != nullptr) {
          visit(slot);
        }
      }
    });
  }
  /// Calls `visit(row, layer, sequence, head)`.
  template <class Visit>
  void for_each_row(Visit&& visit) {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      for (std::size_t b = 0; b < batch(); ++b) {
        for (std::size_t head = 0; head < layers[layer][b].size(); ++head) {
          visit(layers[layer][b][head], layer, b, head);
        }
      }
    }
  }
  [[nodiscard]] bool any_key(const std::function<bool(const reference_slot&)>& is) const {
    bool found = false;
    reference_cache copy = *this;  // the loops above are not const, and caches are small
    copy.for_each_key([&](const reference_slot& slot) { found = found || is(slot); });
    return found;
  }
  [[nodiscard]] bool any_key_in(std::size_t layer, const std::function<bool(const reference_slot&)>& is) const {
    return std::ranges::any_of(layers[layer], [&](const auto& heads) {
      return std::ranges::any_of(heads, [&](const auto& row) {
        return std::ranges::any_of(row, [&](const reference_slot& slot) { return slot.key != nullptr && is(slot); });
      });
    });
  }
};

/// `[slot]` of one layer, sequence and head.
using slot_row = std::vector<reference_slot>;

/// So many sequences without a slot.
inline reference_cache without_slots(const model_config& config, std::size_t batch) {
  const auto heads = static_cast<std::size_t>(config.kv_heads);
  return {std::vector<reference_rows>(static_cast<std::size_t>(config.layers),
                                      reference_rows(batch, std::vector<slot_row>(heads)))};
}

/// The slots [begin, end) of every layer, which all have.
inline reference_cache sliced(reference_cache source, std::size_t begin, std::size_t end) {
  source.for_each_row([&](slot_row& row, std::size_t, std::size_t, std::size_t) {
    row = slot_row(row.begin() + static_cast<std::ptrdiff_t>(begin), row.begin() + static_cast<std::ptrdiff_t>(end));
  });
  return source;
}

/// Says that keys lie in memory as they were asked to stand.
inline void settle(reference_cache& moved) {
  moved.for_each_key([](reference_slot& slot) {
    slot.stored_position = slot.position;
    slot.stored_rotated = slot.rotated;
  });
}

/// Whether keys of both are all rotated, or all not, or mixed in the same way; a layer without keys goes with any.
inline bool written_alike(const reference_cache& a, const reference_cache& b, std::size_t layer) {
  const auto ways = [&](const reference_cache& of) {
    return std::pair(of.any_key_in(layer, [](const reference_slot& slot) { return slot.rotated; }),
                     of.any_key_in(layer, [](const reference_slot& slot) { return !slot.rotated; }));
  };
  const auto none = std::pair(false, false);
  return ways(a) == none || ways(b) == none || ways(a) == ways(b);
}

/// Whether a key of `more` stands where one of `into` does that is not in a slot of `replaced`.
inline bool overlaps(const reference_rows& into, const reference_rows& more, const std::set<std::int64_t>& replaced) {
  for (std::size_t b = 0; b < into.size(); ++b) {
    for (std::size_t head = 0; head < into[b].size(); ++head) {
      std::set<std::int64_t> taken;
      for (std::size_t i = 0; i < into[b][head].size(); ++i) {
        if (into[b][head][i].key != nullptr && !replaced.contains(static_cast<std::int64_t>(i))) {
          taken.insert(into[b][head][i].position);
        }
      }
      for (const reference_slot& slot : more[b][head]) {
        if (slot.key != nullptr && taken.contains(slot.position)) {
          return true;
        }
      }
    }
  }
  return false;
}

}  // namespace kvtransfer::test
