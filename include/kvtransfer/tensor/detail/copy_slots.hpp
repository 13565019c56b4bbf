#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::detail {

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
  [[nodiscard]] at::Tensor tensor(at::Device device) const;
};

/// No run is longer, so that runs share out the work evenly: a block of most paged caches.
inline constexpr std::int64_t longest_run = 16;

/// The spans of any storage; those of a strided one are its blocks.
std::vector<layouts::slot_span> spans_of(const layouts::storage& plain);

/// Appends `run` in pieces of at most `longest_run` slots.
void append_run(std::vector<slot_run>& runs, slot_run run);

/// Where the first slot of `span` lies, and `skipped` slots further on.
std::int64_t place_in(const layouts::slot_span& span, std::int64_t skipped, const at::Tensor& rows);

/// Finds for each slot that `to` stores the place where `from` has the same slot.
/// @throws shape_error unless both hold the same batch and slots, and `to` stores no two slots in one place
slot_runs match_slots(const layouts::storage& to, const layouts::storage& from, std::string_view where);

/// The rows of a storage that hold some places, as one list of slots.
struct slots_of_rows {
  at::Tensor touched;  ///< int64 `[n]`, the rows of the storage
  at::Tensor rows;     ///< `[n * slots, heads, head_dim]`, a copy
  at::Tensor places;   ///< int64, where the places stand in `rows`

  slots_of_rows(const at::Tensor& storage, const std::vector<std::int64_t>& wanted);
};

/// Writes `[n, heads, head_dim]` into n places of `to`.
void write_slots_(const at::Tensor& to, const std::vector<std::int64_t>& places, const at::Tensor& written);

/// Copies `runs` by ATen operations, slot by slot. Differentiable with respect to `from`.
void copy_by_index_(const at::Tensor& to, const at::Tensor& from, const slot_runs& runs);

/// @throws shape_error, device_error unless slots of `from` can be written into `to`
void require_copyable(const at::Tensor& to, const at::Tensor& from, std::string_view where);

/// Whether the fused kernel copies the slots of these tensors.
/// @throws device_error where `use` asks for it and there is none that can
bool copies_fused(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, implementation use,
                  std::string_view where);

void call_fused_copy(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, const slot_runs& runs);

/// Copies slots from storage to storage, one pass, the same runs in every layer. Differentiable with respect to `from`.
/// @param to `[rows, kv_heads, slots, head_dim]` per layer, any strides
/// @param from likewise, with rows and slots of its own
/// @throws shape_error, device_error where a layer's tensors do not go together; value_error where a gradient would be
/// lost
void copy_slots_(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from, const slot_runs& runs,
                 implementation use = implementation::automatic, std::string_view where = "copy_slots_");

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/copy_slots.ipp"  // IWYU pragma: export
#endif
