#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer {

namespace detail {

/// The frame of the heads named; one that all heads share stays as it is.
layer_frame frame_of_heads(const layer_frame& layer, const std::vector<std::int64_t>& heads);

}  // namespace detail

/// A new cache with the KV heads named, in that order.
///
/// Heads are those of keys and values, not of queries: in a model with grouped queries, KV head h is read by the query
/// heads [h * q_heads / kv_heads, (h + 1) * q_heads / kv_heads). Head i of the result is head `heads[i]` of the model
/// that wrote it, so query heads must be selected in such groups too; a model as it stands would read it wrongly, and
/// which model that was is forgotten.
/// @throws shape_error if a layer has no such head
template <LayerLayout Layout>
cache select_heads(const cache_view<Layout>& source, const std::vector<std::int64_t>& heads) {
  require<shape_error>(!heads.empty(), "select_heads", "heads", "at least one", "none");
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const std::int64_t kv_heads = source.layer(i).extents().kv_heads;
    for (const std::int64_t head : heads) {
      require<shape_error>(head >= 0 && head < kv_heads, "select_heads", "heads",
                           fmt::format("0 <= head < kv_heads={}", kv_heads), fmt::format("{}", head));
    }
  }
  const auto choose = [&](const cache_frame& all) {
    cache_frame frame = all.transform([&](const layer_frame& layer) { return detail::frame_of_heads(layer, heads); });
    frame.set_edits(detail::edits_of_items(frame.edits(), &cache_edit::heads, heads));
    return std::move(frame).without_origin();
  };
  return detail::rebuilt(source, detail::view_access::frames(source).transform(choose),
                         [&](const at::Tensor& tensor, std::int64_t) {
                           return tensor.index_select(1, integer_tensor(heads, tensor.device()));
                         });
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/select_heads.ipp"  // IWYU pragma: export
#endif
