#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/detail/copy_slots.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor slot_runs::tensor(at::Device device) const {
  std::vector<std::int64_t> flat;
  flat.reserve(3 * runs.size());
  for (const slot_run& run : runs) {
    flat.insert(flat.end(), {run.to, run.from, run.count});
  }
  return integer_tensor(flat, device).view({-1, 3});
}

KVTRANSFER_INLINE std::vector<layouts::slot_span> spans_of(const layouts::storage& plain) {
  if (plain.slots) {
    return plain.slots->spans();
  }
  std::vector<layouts::slot_span> rows;
  for (std::int64_t row = 0; row < plain.blocks.size(0) && plain.blocks.size(2) > 0; ++row) {
    rows.push_back({row, 0, row, 0, plain.blocks.size(2)});
  }
  return rows;
}

KVTRANSFER_INLINE void append_run(std::vector<slot_run>& runs, slot_run run) {
  while (run.count > 0) {
    const std::int64_t taken = std::min(run.count, longest_run);
    runs.push_back({run.to, run.from, taken});
    run = {run.to + taken, run.from < 0 ? -1 : run.from + taken, run.count - taken};
  }
}

KVTRANSFER_INLINE std::int64_t place_in(const layouts::slot_span& span, std::int64_t skipped, const at::Tensor& rows) {
  return span.block * rows.size(2) + span.slot + skipped;
}

KVTRANSFER_INLINE slot_runs match_slots(const layouts::storage& to, const layouts::storage& from,
                                        std::string_view where) {
  const cache_extents asked = to.extents();
  const cache_extents given = from.extents();
  require<shape_error>(asked.batch == given.batch && asked.seq == given.seq, where, "destination",
                       formatted("batch={}, seq={}", given.batch, given.seq),
                       formatted("batch={}, seq={}", asked.batch, asked.seq));
  require<shape_error>(!to.slots || !to.slots->shares_places(), where, "destination",
                       "every slot in a place of its own", "two in one");
  if (!to.slots && !from.slots) {
    return {};
  }
  slot_runs matched{false, {}};
  const std::vector<layouts::slot_span> sources = spans_of(from);
  auto source = sources.begin();
  for (const layouts::slot_span& span : spans_of(to)) {
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
      append_run(matched.runs, {place_in(span, done, to.blocks),
                                stored ? place_in(*source, slot - source->begin, from.blocks) : -1, count});
      done += count;
    }
  }
  return matched;
}

KVTRANSFER_INLINE slots_of_rows::slots_of_rows(const at::Tensor& storage, const std::vector<std::int64_t>& wanted) {
  const std::int64_t slots = storage.size(2);
  std::vector<std::int64_t> found;
  for (const std::int64_t place : wanted) {
    found.push_back(place / slots);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::int64_t> renumbered;
  renumbered.reserve(wanted.size());
  for (const std::int64_t place : wanted) {
    const auto row = std::lower_bound(found.begin(), found.end(), place / slots) - found.begin();
    renumbered.push_back(row * slots + place % slots);
  }
  touched = integer_tensor(found, storage.device());
  places = integer_tensor(renumbered, storage.device());
  rows = storage.index_select(0, touched).transpose(1, 2).flatten(0, 1);
}

KVTRANSFER_INLINE void write_slots_(const at::Tensor& to, const std::vector<std::int64_t>& places,
                                    const at::Tensor& written) {
  const slots_of_rows old(to, places);
  const at::Tensor rows = copyable(old.rows).index_copy(0, old.places, copyable(written));
  copyable(to).index_copy_(0, old.touched,
                           rows.view({old.touched.size(0), to.size(2), to.size(1), to.size(3)}).transpose(1, 2));
}

KVTRANSFER_INLINE void copy_by_index_(const at::Tensor& to, const at::Tensor& from, const slot_runs& runs) {
  std::vector<std::int64_t> to_places;
  std::vector<std::int64_t> from_places;
  std::vector<std::int64_t> zero_places;
  for (const slot_run& run : runs.runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      if (run.from < 0) {
        zero_places.push_back(run.to + i);
      } else {
        to_places.push_back(run.to + i);
        from_places.push_back(run.from + i);
      }
    }
  }
  if (!to_places.empty()) {
    const slots_of_rows source(from, from_places);
    write_slots_(to, to_places, source.rows.index_select(0, source.places));
  }
  if (!zero_places.empty()) {
    const std::int64_t count = static_cast<std::int64_t>(zero_places.size());
    write_slots_(to, zero_places, to.new_zeros({count, to.size(1), to.size(3)}));
  }
}

KVTRANSFER_INLINE void require_copyable(const at::Tensor& to, const at::Tensor& from, std::string_view where) {
  require_same_device(from, to, where, "destination");
  require<shape_error>(
      to.size(1) == from.size(1) && to.size(3) == from.size(3) && to.scalar_type() == from.scalar_type(), where,
      "destination",
      formatted("kv_heads={}, head_dim={}, {}", from.size(1), from.size(3), c10::toString(from.scalar_type())),
      [&] { return describe(to); });
  if (to.requires_grad()) {
    fail<value_error>(where, "destination", "no gradient for a write in place", "requires_grad");
  }
}

KVTRANSFER_INLINE bool copies_fused(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from,
                                    implementation use, std::string_view where) {
  if (use == implementation::reference || to.empty()) {
    return false;
  }
  const auto is_tracked = [](const at::Tensor& rows) { return rows.requires_grad() && at::GradMode::is_enabled(); };
  const auto fits = [&](const at::Tensor& rows) {
    return rows.device() == to.front().device() && rows.element_size() <= 8;
  };
  const bool can = has_kernel("kvtransfer::copy_slots_", to.front().device()) &&
                   std::ranges::none_of(from, is_tracked) && std::ranges::all_of(to, fits);
  require<device_error>(
      use != implementation::fused || can, where, "implementation",
      "the library kvtransfer_kernels with a kernel for the one device of all layers, and no gradient to keep",
      [&] { return describe(to.front()); });
  return can;
}

KVTRANSFER_INLINE void call_fused_copy(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from,
                                       const slot_runs& runs) {
  const auto list = runs.like_to_like ? std::nullopt : std::optional(runs.tensor(to.front().device()));
  kernels()->copy_slots_(to, from, list);
}

KVTRANSFER_INLINE void copy_slots_(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from,
                                   const slot_runs& runs, implementation use, std::string_view where) {
  require_count<shape_error>(to.size(), from.size(), where, "layers");
  for (std::size_t i = 0; i < to.size(); ++i) {
    require_copyable(to[i], from[i], where);
  }
  if (copies_fused(to, from, use, where)) {
    return call_fused_copy(to, from, runs);
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (runs.like_to_like) {
      to[i].copy_(from[i]);
    } else {
      copy_by_index_(to[i], from[i], runs);
    }
  }
}

}  // namespace kvtransfer::detail
