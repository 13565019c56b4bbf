#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/memory.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

namespace detail {

/// A new tensor in `layout` with room for `extents`. What a table doesn't name is zero.
template <CacheLayout Layout>
[[nodiscard]] at::Tensor tensor_for(const Layout& layout, const cache_extents& extents,
                                    const at::TensorOptions& options) {
  if constexpr (StridedLayout<Layout>) {
    const std::vector<std::int64_t> sizes = {extents.batch, extents.kv_heads, extents.seq, extents.head_dim};
    return new_tensor(layout.arrange(new_tensor({1, 1, 1, 1}, options).expand(sizes)).sizes(), options);
  } else {
    return new_tensor(layout.storage_shape(extents.kv_heads, extents.head_dim), options).zero_();
  }
}

/// @throws shape_error where writing into `to` one after the other would change what was written, or what is yet to be
/// read
void require_written_once(const std::vector<layouts::storage>& to, const std::vector<layouts::storage>& from,
                          std::string_view where);

}  // namespace detail

/// Writes a cache into tensors of another layout, in one pass, and shows it there in the same frame; keys with a move
/// pending are rotated on the way. Slots stay where they are; what the layout does not name stays as it is.
/// @param keys one tensor per layer in the order of `layout`
/// @param values likewise
/// @throws shape_error, device_error where a layer does not fit, or lies in memory of another's or of the source;
/// frame_error where a key would have no place
template <LayerLayout To, LayerLayout From>
[[nodiscard]] cache_view<To> convert_into(const cache_view<From>& source, const std::vector<at::Tensor>& keys,
                                          const std::vector<at::Tensor>& values, const To& layout,
                                          implementation use = implementation::automatic) {
  cache_view<To> target(keys, values, source.frame(), as_written, layout);
  std::vector<layouts::storage> to;
  std::vector<layouts::storage> from;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    to.push_back(target.layer(i).key_storage());
    from.push_back(source.layer(i).key_storage());
  }
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    to.push_back(target.layer(i).value_storage());
    from.push_back(source.layer(i).value_storage());
  }
  detail::require_written_once(to, from, "convert");
  memory_changes::instance().note(detail::memory_of(to), "convert_into");  // however far the copy gets
  layouts::copy_storage_(to, from, use, "convert");
  return cache_view<To>(keys, values, source.frame(), as_written, layout);
}

/// The same in new tensors.
template <LayerLayout To, LayerLayout From>
[[nodiscard]] cache_view<To> convert(const cache_view<From>& source, const To& layout = {},
                                     implementation use = implementation::automatic) {
  const auto tensor_like = [](const auto& layout, const layouts::storage& from) {
    return detail::tensor_for(layout, from.extents(), from.blocks.options());
  };
  const auto [keys, values] = detail::keys_and_values_of(source.layers(), [&](std::int64_t i) {
    return std::pair(tensor_like(layouts::keys_of(layout), detail::view_access::key_storage(source.layer(i))),
                     tensor_like(layouts::values_of(layout), source.layer(i).value_storage()));
  });
  return convert_into(source, keys, values, layout, use);
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/convert.ipp"  // IWYU pragma: export
#endif
