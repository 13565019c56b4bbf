#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

/// Neighbouring slots that are copied to neighbouring slots. A place is `row * slots + slot` of its storage.
struct slot_run {
  std::int64_t to = 0;
  std::int64_t from = 0;  ///< -1 where the slots have no storage, so that zeros are written
  std::int64_t count = 0;

  friend bool operator==(const slot_run&, const slot_run&) = default;
};

/// Which slots are copied where; without runs, every slot to the same row and slot.
struct slot_runs {
  bool like_to_like = true;
  std::vector<slot_run> runs = {};

  /// int64 `[n, 3]` on `device`: to, from, count.
  at::Tensor tensor(at::Device device) const {
    std::vector<std::int64_t> flat;
    flat.reserve(3 * runs.size());
    for (const slot_run& run : runs) {
      flat.insert(flat.end(), {run.to, run.from, run.count});
    }
    return integer_tensor(flat, device).view({-1, 3});
  }
};

namespace detail {

/// No run is longer, so that runs share out the work evenly: a block of most paged caches.
inline constexpr std::int64_t longest_run = 16;

/// The spans of any storage; those of a strided one are its blocks.
inline std::vector<layouts::slot_span> spans_of(const layouts::storage& plain) {
  if (plain.slots) {
    return plain.slots->spans();
  }
  std::vector<layouts::slot_span> rows;
  for (std::int64_t row = 0; row < plain.blocks.size(0) && plain.blocks.size(2) > 0; ++row) {
    rows.push_back({row, 0, row, 0, plain.blocks.size(2)});
  }
  return rows;
}

/// Appends `run` in pieces of at most `longest_run` slots.
inline void append_run(std::vector<slot_run>& runs, slot_run run) {
  while (run.count > 0) {
    const std::int64_t taken = std::min(run.count, longest_run);
    runs.push_back({run.to, run.from, taken});
    run = {run.to + taken, run.from < 0 ? -1 : run.from + taken, run.count - taken};
  }
}

/// Where the first slot of `span` lies, and `skipped` slots further on.
inline std::int64_t place_in(const layouts::slot_span& span, std::int64_t skipped, const at::Tensor& rows) {
  return span.block * rows.size(2) + span.slot + skipped;
}

}  // namespace detail

/// Finds for each slot that `to` stores the place where `from` has the same slot.
/// @throws shape_error unless both hold the same batch and slots, and `to` stores no two slots in one place
inline slot_runs match_slots(const layouts::storage& to, const layouts::storage& from, std::string_view where) {
  const cache_extents asked = to.extents();
  const cache_extents given = from.extents();
  if (asked.batch != given.batch || asked.seq != given.seq) {
    fail<shape_error>(where, "destination", fmt::format("batch={}, seq={}", given.batch, given.seq),
                      fmt::format("batch={}, seq={}", asked.batch, asked.seq));
  }
  require<shape_error>(!to.slots || !to.slots->shares_places(), where, "destination",
                       "every slot in a place of its own", "two in one");
  if (!to.slots && !from.slots) {
    return {};
  }
  slot_runs matched{false, {}};
  const std::vector<layouts::slot_span> sources = detail::spans_of(from);
  auto source = sources.begin();
  for (const layouts::slot_span& span : detail::spans_of(to)) {
    for (std::int64_t done = 0; done < span.count;) {
      const std::int64_t slot = span.begin + done;
      while (source != sources.end() &&
             (source->batch < span.batch || (source->batch == span.batch && source->begin + source->count <= slot))) {
        ++source;
      }
      const bool same_row = source != sources.end() && source->batch == span.batch;
      const bool stored = same_row && source->begin <= slot;
      const std::int64_t source_end = stored ? source->begin + source->count : same_row ? source->begin : given.seq;
      const std::int64_t count = std::min(span.count - done, source_end - slot);
      detail::append_run(matched.runs,
                         {detail::place_in(span, done, to.blocks),
                          stored ? detail::place_in(*source, slot - source->begin, from.blocks) : -1, count});
      done += count;
    }
  }
  return matched;
}

}  // namespace kvtransfer
