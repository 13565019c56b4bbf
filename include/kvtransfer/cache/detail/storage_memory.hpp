#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"

// Where in memory a cache's numbers lie, and whether somebody has changed them.

namespace kvtransfer::detail {

using kvtransfer::memory_of;

/// The bytes of the slots that a table names, counted from where the blocks begin, in rising order.
std::vector<memory_range> bytes_within(const at::Tensor& blocks, const layouts::slot_table& slots);

/// The bytes that a layer's keys (or values) take up: where a table tells slots apart, those of the slots that it names
/// alone, since the others may be somebody else's.
std::vector<memory_range> memory_of(const layouts::storage& storage);

/// The memory of several layers.
std::vector<memory_range> memory_of(std::vector<layouts::storage> layers);

/// @param memory gives the ranges; called where there was any change at all since number `known`
/// @throws frame_error, naming the call, where this library has changed them since
template <class Memory>
void require_unchanged(std::uint64_t known, Memory&& memory, std::string_view where) {
  const memory_changes& changes = memory_changes::instance();
  if (changes.last() == known) {
    return;
  }
  if (const auto call = changes.call_since(known, memory())) {
    fail<frame_error>(where, "storage", "keys and values as they were when the frame was taken (make the view anew)",
                      fmt::format("a change by {}", *call));
  }
}

/// The same where the ranges are long to list. @param tensors in which they lie, which are asked about first
template <class Memory>
void require_unchanged(std::uint64_t known, const std::vector<at::Tensor>& tensors, Memory&& memory,
                       std::string_view where) {
  if (memory_changes::instance().may_have_changed(known, memory_of(tensors))) {
    require_unchanged(known, memory, where);
  }
}

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/storage_memory.ipp"  // IWYU pragma: export
#endif
