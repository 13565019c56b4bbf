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
struct lowered {
  at::Tensor rows;  ///< `[rows, kv_heads, slots, head_dim]`, strided
  std::optional<slot_table>
      slots;  ///< where each slot of a batch row lies; nothing where row and slot say it themselves

  cache_extents extents() const {
    return slots ? cache_extents{slots->batch(), rows.size(1), slots->seq(), rows.size(3)} : extents_of(rows);
  }

  /// Whether each slot lies at the same row and slot as in `other`.
  bool is_like(const lowered& other) const { return rows.sizes() == other.rows.sizes() && slots == other.slots; }
};

namespace detail {

template <CacheLayout Layout>
inline constexpr std::int64_t axes_of = 1 + std::count(std::string_view(Layout::axes).begin(),
                                                       std::string_view(Layout::axes).end(), ',');

template <CacheLayout Layout>
lowered lower_unchecked(const Layout& layout, const at::Tensor& tensor) {
  if constexpr (StridedLayout<Layout>) {
    return {layout.view(tensor), std::nullopt};
  } else {
    return {layout.rows(tensor), layout.slots};
  }
}

/// @throws shape_error unless `rows` has every place that `slots` names
inline void require_places(const at::Tensor& rows, const slot_table& slots, std::string_view where,
                           std::string_view what) {
  const bool slots_fit =
      slots.row_slots() == 0 ? rows.size(2) >= slots.slots_needed() : rows.size(2) == slots.row_slots();
  if (rows.size(0) < slots.rows_needed() || !slots_fit) {
    fail<shape_error>(where, what,
                      fmt::format("{} rows of {} slots, which the layout's table names", slots.rows_needed(),
                                  std::max(slots.row_slots(), slots.slots_needed())),
                      fmt::format("{} rows of {} slots", rows.size(0), rows.size(2)));
  }
}

}  // namespace detail

/// Lowers a tensor in `layout` to the plain form.
/// @throws shape_error unless it is floating, has the layout's axes and every place that the layout's table names
template <CacheLayout Layout>
lowered lower(const Layout& layout, const at::Tensor& tensor, std::string_view where, std::string_view what) {
  const auto refuse = [&] {
    fail<shape_error>(where, what, fmt::format("{}, floating", Layout::axes), describe(tensor));
  };
  if (!tensor.defined() || tensor.dim() != detail::axes_of<Layout> || !at::isFloatingType(tensor.scalar_type())) {
    refuse();
  }
  lowered plain;
  try {
    plain = detail::lower_unchecked(layout, tensor);
  } catch (const c10::Error&) {  // an axis too short for what the layout cuts out of it
    refuse();
  }
  require_heads_tensor(plain.rows, where, what);
  if (plain.slots) {
    detail::require_places(plain.rows, *plain.slots, where, what);
  }
  return plain;
}

/// The layout of a layer's keys.
template <LayerLayout Layout>
const auto& keys_of(const Layout& layout) {
  if constexpr (CacheLayout<Layout>) {
    return layout;
  } else {
    return layout.keys;
  }
}

/// The layout of a layer's values.
template <LayerLayout Layout>
const auto& values_of(const Layout& layout) {
  if constexpr (CacheLayout<Layout>) {
    return layout;
  } else {
    return layout.values;
  }
}

}  // namespace kvtransfer::layouts
