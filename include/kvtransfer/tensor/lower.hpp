#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// The plain form of a layer's keys (or values) in any layout, sharing the storage of the tensor it came from.
struct storage {
  at::Tensor blocks;  ///< `[blocks, kv_heads, slots, head_dim]`, strided; a block is a sequence where there is no table
  std::optional<slot_table>
      slots;  ///< where each slot of a sequence lies; nothing where block and slot say it themselves

  /// Sizes as a cache counts them: sequences and their slots, whatever the blocks are.
  [[nodiscard]] cache_extents extents() const;

  /// Whether each slot lies at the same block and slot as in `other`.
  [[nodiscard]] bool is_like(const storage& other) const;
};

namespace detail {

template <CacheLayout Layout>
inline constexpr std::int64_t axes_of =
    1 + std::count(std::string_view(Layout::axes).begin(), std::string_view(Layout::axes).end(), ',');

template <CacheLayout Layout>
[[nodiscard]] storage lower_unchecked(const Layout& layout, const at::Tensor& tensor) {
  if constexpr (StridedLayout<Layout>) {
    return {layout.view(tensor), std::nullopt};
  } else {
    return {layout.blocks(tensor), layout.slots};
  }
}

/// @throws shape_error unless `blocks` has every place that `slots` names
void require_places(const at::Tensor& blocks, const slot_table& slots, std::string_view where, std::string_view what);

}  // namespace detail

/// Lowers a tensor in `layout` to the plain form.
/// @throws shape_error unless it is floating, has the layout's axes and every place that the layout's table names
template <CacheLayout Layout>
[[nodiscard]] storage lower(const Layout& layout, const at::Tensor& tensor, std::string_view where,
                            std::string_view what) {
  const auto refuse = [&] {
    fail<shape_error>(where, what, fmt::format("{}, floating", Layout::axes), describe(tensor));
  };
  if (!tensor.defined() || tensor.dim() != detail::axes_of<Layout> || !at::isFloatingType(tensor.scalar_type())) {
    refuse();
  }
  storage plain;
  try {
    plain = detail::lower_unchecked(layout, tensor);
  } catch (const c10::Error&) {  // an axis too short for what the layout cuts out of it
    refuse();
  }
  require_heads_tensor(plain.blocks, where, what);
  if (plain.slots) {
    detail::require_places(plain.blocks, *plain.slots, where, what);
  }
  return plain;
}

/// The layout of a layer's keys.
template <LayerLayout Layout>
[[nodiscard]] const auto& keys_of(const Layout& layout) {
  if constexpr (CacheLayout<Layout>) {
    return layout;
  } else {
    return layout.keys;
  }
}

/// The layout of a layer's values.
template <LayerLayout Layout>
[[nodiscard]] const auto& values_of(const Layout& layout) {
  if constexpr (CacheLayout<Layout>) {
    return layout;
  } else {
    return layout.values;
  }
}

/// The layout in which the slots [begin, end) of a tensor in `layout` are read from `slice_tensor`'s result.
/// @throws shape_error for slots outside the table
template <LayerLayout Layout>
[[nodiscard]] Layout slice_layout(const Layout& layout, std::int64_t begin, std::int64_t end) {
  Layout part = layout;
  if constexpr (SlottedLayout<Layout>) {
    part.slots = layout.slots.slice(begin, end);
  } else if constexpr (!CacheLayout<Layout>) {
    part.keys = slice_layout(layout.keys, begin, end);
    part.values = slice_layout(layout.values, begin, end);
  }
  return part;
}

/// The slots [begin, end) of a tensor in `layout`, without a copy. Where a table tells the slots apart, the tensor
/// stays whole.
template <CacheLayout Layout>
[[nodiscard]] at::Tensor slice_tensor(const Layout& layout, const at::Tensor& tensor, std::int64_t begin,
                                      std::int64_t end) {
  if constexpr (StridedLayout<Layout>) {
    return layout.arrange(layout.view(tensor).slice(2, begin, end));
  } else {
    return tensor;
  }
}

}  // namespace kvtransfer::layouts

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/lower.ipp"  // IWYU pragma: export
#endif
