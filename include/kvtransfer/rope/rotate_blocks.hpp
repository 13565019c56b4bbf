#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
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

/// Throws what `rotate_blocks_` would throw for these arguments and rotates nothing.
/// @return what `rotate_checked_blocks_` takes for these layers and rows
inline checked_rotation require_blocks_rotatable(const std::vector<at::Tensor>& layers,
                                                 const std::vector<std::int64_t>& rows, const rotation& how_far,
                                                 const options& how = {}, std::string_view where = "rotate_blocks_") {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  detail::require_rows(layers, rows, where);
  const at::Tensor& first = layers.front();
  const at::Tensor sample = rows.empty()
                                ? first.narrow(0, 0, 0)
                                : first.narrow(0, 0, 1).expand({static_cast<std::int64_t>(rows.size()), -1, -1, -1});
  return detail::checked_for("kvtransfer::rotate_blocks_", how_far, sample, how, where);
}

/// `rotate_blocks_` for layers and rows that `require_blocks_rotatable` has let through.
inline void rotate_checked_blocks_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                                   const checked_rotation& checked) {
  if (rows.empty() || !checked.rotation.geometry().rotates() || layers.front().numel() == 0) {
    return;
  }
  if (detail::are_neighbours(rows)) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& layer : layers) {
      parts.push_back(layer.narrow(0, rows.front(), static_cast<std::int64_t>(rows.size())));
    }
    return rotate_checked_keys_(parts, checked);
  }
  const at::Tensor index = integer_tensor(rows, layers.front().device());
  if (checked.used == implementation::fused) {
    const auto arguments = detail::as_tensors(checked.rotation, checked.how.angles);
    return detail::kernels()->rotate_blocks_(arguments, layers, index);
  }
  for (const at::Tensor& layer : layers) {
    const at::Tensor meant = layer.index_select(0, index);
    detail::rotate_by_reference_({meant}, checked);
    layer.index_copy_(0, index, meant);
  }
}

/// Rotates the keys of some rows of every layer in place, and of no other: the blocks of a paged cache that are meant.
/// @param layers each `[rows, kv_heads, slots, head_dim]`, as for `rotate_keys_`
/// @param rows which of them, none twice; positions in `how_far` are those of these rows, in this order
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void rotate_blocks_(const std::vector<at::Tensor>& layers, const std::vector<std::int64_t>& rows,
                           const rotation& how_far, const options& how = {},
                           std::string_view where = "rotate_blocks_") {
  rotate_checked_blocks_(layers, rows, require_blocks_rotatable(layers, rows, how_far, how, where));
}

}  // namespace kvtransfer::rope
