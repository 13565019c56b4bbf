#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/slot_range.hpp"

// Edits go where the slots, heads and layers go that they name.

namespace kvtransfer::detail {

/// Ranges put in order, with those that meet joined.
inline std::vector<slot_range> joined_ranges(std::vector<slot_range> ranges) {
  std::erase_if(ranges, [](const slot_range& range) { return range.empty(); });
  std::ranges::sort(ranges, {}, &slot_range::begin);
  std::vector<slot_range> joined;
  for (const slot_range& range : ranges) {
    if (!joined.empty() && range.begin <= joined.back().end()) {
      joined.back().count = std::max(joined.back().end(), range.end()) - joined.back().begin;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

/// What is left of `ranges` without `removed`; both in order, neither with ranges that meet.
inline std::vector<slot_range> without_ranges(const std::vector<slot_range>& ranges,
                                              const std::vector<slot_range>& removed) {
  std::vector<slot_range> left;
  for (const slot_range& range : ranges) {
    std::int64_t begin = range.begin;
    for (const slot_range& gone : removed) {
      const slot_range cut = range.overlap(gone);
      if (!cut.empty()) {
        left.push_back({begin, cut.begin - begin});
        begin = cut.end();
      }
    }
    left.push_back({begin, range.end() - begin});
  }
  return joined_ranges(std::move(left));
}

/// Layers, heads and slots rising, each once, as they are looked up: an edit that is not found would be forgotten.
inline void put_in_order(cache_edit& edit) {
  for (std::vector<std::int64_t>* const items : {&edit.layers, &edit.heads}) {
    std::ranges::sort(*items);
    items->erase(std::unique(items->begin(), items->end()), items->end());
  }
  edit.slots = joined_ranges(std::move(edit.slots));
}

inline bool holds_slot(const std::vector<slot_range>& ranges, std::int64_t slot) {
  return std::ranges::any_of(ranges,
                             [=](const slot_range& range) { return range.begin <= slot && slot < range.end(); });
}

/// The edits in slots that went elsewhere: `moved(layer, ranges)` says where to. Layers whose slots went the same way
/// stay in one edit; an edit whose slots are all gone goes too.
template <class Moved>
std::vector<cache_edit> edits_in_slots(const std::vector<cache_edit>& edits, Moved&& moved) {
  std::vector<cache_edit> all;
  for (const cache_edit& edit : edits) {
    const auto first = static_cast<std::ptrdiff_t>(all.size());
    for (const std::int64_t layer : edit.layers) {
      std::vector<slot_range> slots = joined_ranges(moved(layer, edit.slots));
      const auto alike =
          std::find_if(all.begin() + first, all.end(), [&](const auto& one) { return one.slots == slots; });
      if (alike != all.end()) {
        alike->layers.push_back(layer);
      } else if (!slots.empty()) {
        all.push_back(edit);
        all.back().layers = {layer};
        all.back().slots = std::move(slots);
      }
    }
  }
  return all;
}

/// The edits of the slots [begin, end), which are counted from `begin` on.
inline std::vector<cache_edit> edits_of_slots(const std::vector<cache_edit>& edits, std::int64_t begin,
                                              std::int64_t end) {
  return edits_in_slots(edits, [=](std::int64_t, std::vector<slot_range> ranges) {
    for (slot_range& range : ranges) {
      range = range.overlap({begin, end - begin});
      range.begin -= begin;
    }
    return ranges;
  });
}

/// The edits in slots that stand behind `offset(layer)` others.
template <class Offset>
std::vector<cache_edit> edits_behind(const std::vector<cache_edit>& edits, Offset&& offset) {
  return edits_in_slots(edits, [&](std::int64_t layer, std::vector<slot_range> ranges) {
    for (slot_range& range : ranges) {
      range.begin += offset(layer);
    }
    return ranges;
  });
}

/// The edits of the items named (layers or heads), each of which is then known by its place in `chosen`.
/// @param items the member of an edit that lists them; an empty list means all of them and stays so
inline std::vector<cache_edit> edits_of_items(std::vector<cache_edit> edits,
                                              std::vector<std::int64_t> cache_edit::* items,
                                              const std::vector<std::int64_t>& chosen) {
  std::vector<cache_edit> kept;
  for (cache_edit& edit : edits) {
    std::vector<std::int64_t> places;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (std::ranges::binary_search(edit.*items, chosen[i])) {
        places.push_back(static_cast<std::int64_t>(i));
      }
    }
    if (!(edit.*items).empty() && places.empty()) {
      continue;
    }
    edit.*items = std::move(places);
    kept.push_back(std::move(edit));
  }
  return kept;
}

}  // namespace kvtransfer::detail
