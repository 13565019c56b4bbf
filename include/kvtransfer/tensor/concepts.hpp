#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer {

namespace detail {

template <class T>
concept ArrangedByStrides = requires(const T layout, const at::Tensor& tensor) {
  { layout.view(tensor) } -> std::same_as<at::Tensor>;
  { layout.arrange(tensor) } -> std::same_as<at::Tensor>;
};

template <class T>
concept ArrangedByTable = requires(const T layout, const at::Tensor& tensor, std::int64_t size) {
  { layout.slots } -> std::convertible_to<const layouts::slot_table&>;
  { layout.blocks(tensor) } -> std::same_as<at::Tensor>;
  { layout.storage_shape(size, size) } -> std::same_as<std::vector<std::int64_t>>;
};

}  // namespace detail

/// A way to arrange one layer's keys (or values) in a tensor: by strides alone, or in rows with a table of where each
/// slot lies.
///
/// `name` is its own; `axes` names those of the tensor, as `[seq, batch, kv_heads, head_dim]`. `layouts::lower(layout,
/// tensor)` turns either kind into the one plain form that operations and kernels work on.
template <class T>
concept CacheLayout = std::copyable<T> && requires {
  { T::name } -> std::convertible_to<std::string_view>;
  { T::axes } -> std::convertible_to<std::string_view>;
} && (detail::ArrangedByStrides<T> || detail::ArrangedByTable<T>);

/// A layout that is readable without a copy.
///
/// `view(tensor)` returns the same storage as `[batch, kv_heads, seq, head_dim]`; `arrange(tensor)` is its inverse.
/// Both only permute strides, so writing through the view writes into the tensor it came from.
template <class T>
concept StridedLayout = CacheLayout<T> && detail::ArrangedByStrides<T>;

/// A layout whose slots lie where its table, the member `slots`, says.
///
/// `blocks(tensor)` returns the same storage as `[blocks, kv_heads, slots, head_dim]`, permuting strides only;
/// `storage_shape(kv_heads, head_dim)` is the shape of the smallest tensor that has every place the table names.
template <class T>
concept SlottedLayout = CacheLayout<T> && !StridedLayout<T> && detail::ArrangedByTable<T>;

/// How a layer's keys and values are arranged: one layout for both, or a pair with members `keys` and `values`.
template <class T>
concept LayerLayout = CacheLayout<T> || requires(const T pair) {
  requires CacheLayout<std::remove_cvref_t<decltype(pair.keys)>>;
  requires CacheLayout<std::remove_cvref_t<decltype(pair.values)>>;
};

}  // namespace kvtransfer
