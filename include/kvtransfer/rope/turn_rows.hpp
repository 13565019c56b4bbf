#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/turn.hpp"
#include "kvtransfer/rope/turning.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer::rope {

namespace detail {

/// True if `rows` counts up by one.
inline bool are_neighbours(const std::vector<std::int64_t>& rows) {
  return std::adjacent_find(rows.begin(), rows.end(), [](auto a, auto b) { return b != a + 1; }) == rows.end();
}

/// @throws shape_error unless every one of `rows` is a row of the layers', and none is named twice
inline void require_rows(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                         std::string_view where) {
  std::vector<char> named(static_cast<std::size_t>(layers.front().size(0)), 0);
  for (const std::int64_t row : rows) {
    const bool exists = row >= 0 && row < layers.front().size(0);
    if (!exists || named[static_cast<std::size_t>(row)] != 0) {
      fail<shape_error>(where, "rows", fmt::format("0 <= row < {}, each once", layers.front().size(0)),
                        fmt::format("{}", row));
    }
    named[static_cast<std::size_t>(row)] = 1;
  }
}

}  // namespace detail

/// Throws what `turn_rows_` would throw for these arguments and turns nothing.
/// @return `how_far` with four-dimensional positions
inline turning require_rows_turnable(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                                     const turning& how_far, const options& how = {},
                                     std::string_view where = "turn_rows_") {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  detail::require_rows(layers, rows, where);
  const at::Tensor& first = layers.front();
  const at::Tensor sample = rows.empty()
                                ? first.narrow(0, 0, 0)
                                : first.narrow(0, 0, 1).expand({static_cast<std::int64_t>(rows.size()), -1, -1, -1});
  turning turn = detail::checked(how_far, sample, how, where);
  if (turn.geometry().rotates()) {
    detail::turns_fused(sample, turn.geometry(), how, "kvtransfer::turn_rows_", where);
  }
  return turn;
}

namespace detail {

/// `turn_rows_` once `require_rows_turnable` has let its arguments through.
/// @param turn what that returned
inline void turn_checked_rows_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                               const turning& turn, const options& how, std::string_view where) {
  const rotary_specification& geometry = turn.geometry();
  if (rows.empty() || !geometry.rotates() || layers.front().numel() == 0) {
    return;
  }
  if (are_neighbours(rows)) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& layer : layers) {
      parts.push_back(layer.narrow(0, rows.front(), static_cast<std::int64_t>(rows.size())));
    }
    return turn_(parts, turn, how, where);
  }
  const at::Tensor index = integer_tensor(rows, layers.front().device());
  if (turns_fused(layers.front(), geometry, how, "kvtransfer::turn_rows_", where)) {
    return call_fused_turn<void, at::TensorList, const at::Tensor&>("kvtransfer::turn_rows_", turn, how.angles, layers,
                                                                    index);
  }
  for (const at::Tensor& layer : layers) {
    const at::Tensor meant = layer.index_select(0, index);
    turn_({meant}, turn, how, where);
    layer.index_copy_(0, index, meant);
  }
}

}  // namespace detail

/// Turns the keys of some rows of every layer in place, and of no other: the blocks of a paged cache that are meant.
/// @param layers each `[rows, kv_heads, slots, head_dim]`, as for `turn_`
/// @param rows which of them, none twice; positions in `how_far` are those of these rows, in this order
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void turn_rows_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                       const turning& how_far, const options& how = {}, std::string_view where = "turn_rows_") {
  const turning turn = require_rows_turnable(layers, rows, how_far, how, where);
  detail::turn_checked_rows_(layers, rows, turn, how, where);
}

}  // namespace kvtransfer::rope
