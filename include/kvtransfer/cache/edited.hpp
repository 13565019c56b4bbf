#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A cache of other numbers in the place of `source`'s: keys and values that were computed from them, or are to be read
/// instead of them. The frame is the source's, origin and text included, with `edit` on its list; no check is off.
/// @param keys one per layer, `[batch, kv_heads, seq, head_dim]`, rotated as the source's frame says
/// @param values likewise
/// @param edit what was done; where it names no layers or slots, to all of them
/// @throws shape_error where tensors and frame disagree, or the edit names what is not there
template <LayerLayout Layout>
[[nodiscard]] cache edited(const cache_view<Layout>& source, std::vector<at::Tensor> keys,
                           std::vector<at::Tensor> values, cache_edit edit) {
  cache_frame frame = source.frame();
  frame.add_edit(std::move(edit));
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace kvtransfer
