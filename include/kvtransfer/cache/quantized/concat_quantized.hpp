#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/detail/writings.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"

namespace kvtransfer {

/// A new cache with the slots of `first` followed by those of `second`, codes and scales as they are: nothing is
/// quantized again. Moves that are pending stay so; it is the target positions that have to fit.
/// @throws frame_error where rotary specifications or models differ, or positions overlap without
/// `position_overlap::allowed`
/// @throws shape_error where layers, batch, heads, head_dim, dtype or streams differ; value_error where schemes do;
/// device_error
inline quantized_cache concat(const quantized_cache& first, const quantized_cache& second,
                              position_overlap overlap = position_overlap::refused) {
  if (first.layers() != second.layers()) {
    fail<shape_error>("concat", "layers of second", fmt::format("{}", first.layers()),
                      fmt::format("{}", second.layers()));
  }
  detail::require_same_model(first.target(), second.target(), "concat", "model of second");
  std::vector<quantized_tensor> keys;
  std::vector<quantized_tensor> values;
  for (std::int64_t i = 0; i < first.layers(); ++i) {
    keys.push_back(concat(first.stored_keys(i), second.stored_keys(i), "concat keys"));
    values.push_back(concat(first.values(i), second.values(i), "concat values"));
  }
  cache_frame target = first.target().followed_by(second.target(), [&](const layer_frame& a, const layer_frame& b) {
    if (a.positions.streams() != b.positions.streams()) {
      fail<shape_error>("concat", "positions of second", fmt::format("{} streams", a.positions.streams()),
                        fmt::format("{}", b.positions.streams()));
    }
    detail::require_same_writings(a, b, "concat");
    if (overlap == position_overlap::refused) {
      detail::require_apart(a, b);
    }
  });
  return quantized_cache(std::move(keys), std::move(values), first.stored().followed_by(second.stored()),
                         std::move(target));
}

}  // namespace kvtransfer
