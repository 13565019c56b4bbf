#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

/// Which slots are copied where, each named by `row * slots + slot` of its storage.
/// Without lists, every slot is copied to the same row and slot.
struct slot_pairs {
  at::Tensor to = {};    ///< int64 `[n]`, each place at most once
  at::Tensor from = {};  ///< int64 `[n]`; -1 where the slot has no storage, so that zeros are written
  bool complete = true;  ///< no -1 among them

  bool is_identity() const { return !to.defined(); }
};

namespace detail {

inline std::vector<std::int64_t> places_of(const layouts::lowered& plain) {
  if (plain.slots) {
    return plain.slots->places(plain.rows.size(2));
  }
  std::vector<std::int64_t> all(static_cast<std::size_t>(plain.rows.size(0) * plain.rows.size(2)));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// @throws shape_error where two slots would be written to one place
inline void require_written_once(const std::vector<std::int64_t>& places, std::int64_t all, std::string_view where) {
  std::vector<char> taken(static_cast<std::size_t>(all), 0);
  for (const std::int64_t place : places) {
    char& mark = taken[static_cast<std::size_t>(place)];
    require<shape_error>(mark == 0, where, "destination", "every slot in a place of its own",
                         fmt::format("two at slot {} of the storage", place));
    mark = 1;
  }
}

}  // namespace detail

/// Pairs each slot that `to` stores with the place where `from` has the same slot.
/// @return lists on the device of `to`, or none where strides alone describe both
/// @throws shape_error unless both hold the same batch and slots, and `to` stores no two slots in one place
inline slot_pairs pair_slots(const layouts::lowered& to, const layouts::lowered& from, std::string_view where) {
  const cache_extents wanted = to.extents();
  const cache_extents given = from.extents();
  if (wanted.batch != given.batch || wanted.seq != given.seq) {
    fail<shape_error>(where, "destination", fmt::format("batch={}, seq={}", given.batch, given.seq),
                      fmt::format("batch={}, seq={}", wanted.batch, wanted.seq));
  }
  if (!to.slots && !from.slots) {
    return {};
  }
  const std::vector<std::int64_t> to_places = detail::places_of(to);
  const std::vector<std::int64_t> from_places = detail::places_of(from);
  std::vector<std::int64_t> stored;
  std::vector<std::int64_t> sources;
  for (std::size_t i = 0; i < to_places.size(); ++i) {
    if (to_places[i] >= 0) {
      stored.push_back(to_places[i]);
      sources.push_back(from_places[i]);
    }
  }
  if (to.slots) {
    detail::require_written_once(stored, to.rows.size(0) * to.rows.size(2), where);
  }
  const bool complete = std::none_of(sources.begin(), sources.end(), [](std::int64_t place) { return place < 0; });
  return {integer_tensor(stored, to.rows.device()), integer_tensor(sources, to.rows.device()), complete};
}

}  // namespace kvtransfer
