#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer::rope::detail {

/// Positions with all four axes named: `[streams, batch or 1, kv_heads or 1, seq]`.
/// @param positions int64, `[seq]` or already four-dimensional
/// @throws shape_error on any other shape or dtype
inline at::Tensor positions_as_4d(const at::Tensor& positions, std::string_view where, std::string_view what) {
  require<shape_error>(
      positions.defined() && positions.scalar_type() == at::kLong && (positions.dim() == 1 || positions.dim() == 4),
      where, what, "int64 [seq] or [streams, batch or 1, kv_heads or 1, seq]", [&] { return describe(positions); });
  return positions.dim() == 4 ? positions : positions.view({1, 1, 1, -1});
}

/// Positions that fit keys of `extents`, with all four axes.
/// @param streams how many position streams the specification reads; positions with one serve them all
/// @throws shape_error if they do not fit
inline at::Tensor positions_for(const at::Tensor& positions, const cache_extents& extents, std::int64_t streams,
                                std::string_view where, std::string_view what) {
  at::Tensor all = positions_as_4d(positions, where, what);
  const auto fits = [&](std::int64_t axis, std::int64_t size) { return all.size(axis) == 1 || all.size(axis) == size; };
  require<shape_error>((all.size(0) == 1 || all.size(0) >= streams) && fits(1, extents.batch) &&
                           fits(2, extents.kv_heads) && all.size(3) == extents.seq,
                       where, what,
                       formatted("[streams={}, batch={}, kv_heads={} or 1, seq={}]", streams, extents.batch,
                                 extents.kv_heads, extents.seq),
                       [&] { return describe(positions); });
  return all;
}

/// Positions this far from 0 the fused kernels rotate to 2e-7 radians: their angles are 32-bit numbers.
inline constexpr std::int64_t kernel_position_limit = std::int64_t{1} << 24;

/// Positions this far from 0 float64 angles are exact to 5e-7 radians for.
inline constexpr std::int64_t position_limit = std::int64_t{1} << 31;

/// The largest distance from 0 of positions that lie on the host; 0 of others, which would have to be waited for.
inline std::int64_t farthest(const at::Tensor& positions) {
  if (!positions.defined() || !positions.is_cpu() || positions.numel() == 0) {
    return 0;
  }
  const at::Tensor dense = positions.contiguous();
  const std::int64_t* first = dense.const_data_ptr<std::int64_t>();
  const auto [least, most] = std::minmax_element(first, first + dense.numel());
  constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();  // which has no opposite
  return *least == lowest ? std::numeric_limits<std::int64_t>::max() : std::max(*most, -*least);
}

}  // namespace kvtransfer::rope::detail
