#pragma once

#include <cstdint>
#include <utility>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"

namespace kvtransfer {

/// A new cache with the slots of `first` followed by those of `second`, codes and scales as they are: nothing is
/// quantized again. Moves that are pending stay so; it is the target positions that have to fit.
/// @throws frame_error where rotary specifications or models differ, or positions overlap without
/// `position_overlap::allowed`
/// @throws shape_error where layers, batch, heads, head_dim, dtype or streams differ; value_error where schemes do;
/// device_error
[[nodiscard]] inline quantized_cache concat(const quantized_cache& first, const quantized_cache& second,
                                            position_overlap overlap = position_overlap::refused) {
  detail::require_same_origin(first.target(), second.target());
  auto [keys, values] = detail::keys_and_values_of(first.layers(), [&](std::int64_t i) {
    return std::pair(concat(first.stored_keys(i), second.stored_keys(i), "concat keys"),
                     concat(first.values(i), second.values(i), "concat values"));
  });
  return quantized_cache(std::move(keys), std::move(values), first.stored().followed_by(second.stored()),
                         detail::joined_frames(first.target(), second.target(), overlap), as_written);
}

}  // namespace kvtransfer
