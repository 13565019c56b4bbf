#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// The layout in which the slots [begin, end) of a tensor in `layout` are read from `slice_tensor`'s result.
/// @throws shape_error for slots outside the table
template <LayerLayout Layout>
Layout slice_layout(const Layout& layout, std::int64_t begin, std::int64_t end) {
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
at::Tensor slice_tensor(const Layout& layout, const at::Tensor& tensor, std::int64_t begin, std::int64_t end) {
  if constexpr (StridedLayout<Layout>) {
    return layout.arrange(layout.view(tensor).slice(2, begin, end));
  } else {
    return tensor;
  }
}

}  // namespace kvtransfer::layouts
