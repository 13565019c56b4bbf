#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/same_padding.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/cache/halves.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_same_slots(const layer_view<>& keys_from, const layer_view<>& values_from,
                                          std::int64_t layer) {
  cache_extents expected = keys_from.extents();
  cache_extents found = values_from.extents();
  found.head_dim = expected.head_dim;
  if (!(expected == found)) {
    fail<shape_error>("keys_with_values_of", fmt::format("layer {}", layer), fmt::format("{}, any head_dim", expected),
                      fmt::format("{}", values_from.extents()));
  }
  require_same_padding(validity_tensor(keys_from.frame().positions), validity_tensor(values_from.frame().positions),
                       layer, "keys_with_values_of");
}

KVTRANSFER_INLINE std::vector<cache_edit> edits_of_half(const cache_frame& frame, cache_half half) {
  std::vector<cache_edit> edits;
  for (cache_edit edit : frame.edits()) {
    if (edit.half == cache_half::both || edit.half == half) {
      edit.half = half;
      edits.push_back(std::move(edit));
    }
  }
  return edits;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache_view<> keys_with_values_of(const cache_view<>& keys_from, const cache_view<>& values_from) {
  if (keys_from.layers() != values_from.layers()) {
    fail<shape_error>("keys_with_values_of", "layers", fmt::format("{}", keys_from.layers()),
                      fmt::format("{}", values_from.layers()));
  }
  detail::require_same_model(keys_from.frame().origin(), values_from.frame().origin(), "keys_with_values_of", "model");
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<std::int64_t> foreign;
  for (std::int64_t i = 0; i < keys_from.layers(); ++i) {
    detail::require_same_slots(keys_from.layer(i), values_from.layer(i), i);
    if (!detail::is_same_memory(values_from.layer(i).stored_values(), keys_from.layer(i).stored_values())) {
      foreign.push_back(i);
    }
    keys.push_back(detail::view_access::keys(keys_from.layer(i)));
    values.push_back(values_from.layer(i).stored_values());
  }
  detail::moving_frames frames = detail::view_access::frames(keys_from);
  frames.edit([&](cache_frame& frame) {
    frame.set_tokens(frame.tokens().combine(values_from.frame().tokens(), [](const auto& mine, const auto& theirs) {
      return mine == theirs ? mine : layer_tokens::token_rows{};
    }));
    if (!foreign.empty()) {
      frame.set_origin(frame.origin().joined_with(values_from.frame().origin()));
      std::vector<cache_edit> edits = detail::edits_of_half(keys_from.frame(), cache_half::keys);
      for (cache_edit& edit : detail::edits_of_half(values_from.frame(), cache_half::values)) {
        edits.push_back(std::move(edit));
      }
      edits.push_back({edit_kind::half, cache_half::values, foreign, {}, {}, detail::origin_text(values_from.frame())});
      frame.set_edits(std::move(edits));
    }
    if (values_from.frame().assumed()) {
      frame.set_assumed();
    }
  });
  return detail::view_access::view(keys, values, std::move(frames), keys_from.layout());
}

}  // namespace kvtransfer
