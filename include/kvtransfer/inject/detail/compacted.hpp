#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"

// What a selection left out is padding in an injection, and nothing in a plan.

namespace kvtransfer::detail {

/// The slots that hold a key of any sequence and head.
std::vector<std::int64_t> held_slots(const position_map& positions);

/// The slots named, without a copy where they are neighbours. @param slots rising
at::Tensor slots_of(const at::Tensor& tensor, const std::vector<std::int64_t>& slots);

/// One segment for each layer of `source` that holds a key, of the slots that hold one. Layers that shared a frame
/// still do where they are cut alike.
std::vector<std::vector<segment>> compacted(const cache_view<>& source);

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/compacted.ipp"  // IWYU pragma: export
#endif
