#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/move_codes.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"
#include "kvtransfer/cache/key_moves.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE quantized_cache::quantized_cache(std::vector<quantized_tensor> keys,
                                                   std::vector<quantized_tensor> values, cache_frame stored,
                                                   cache_frame target, as_written_t)
    : key_moves(std::move(stored), std::move(target)),
      keys_(std::move(keys)),
      values_(std::move(values)),
      known_(memory_changes::instance().last()) {
  check_tensors(keys_, "keys");
  check_tensors(values_, "values");
  for (std::int64_t i = 0; i < layers(); ++i) {
    require<frame_error>(stored_.layer(i).positions.has_keys_of(target_.layer(i).positions), name, "target frame",
                         "keys in the slots that hold them", fmt::format("another padding in layer {}", i));
  }
}

KVTRANSFER_INLINE quantized_cache quantized_cache::clone() const {
  return transform(stored_, target_, [](const quantized_tensor& tensor) { return tensor.clone(); });
}

KVTRANSFER_INLINE std::int64_t quantized_cache::nbytes() const {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    bytes += keys_[i].nbytes() + values_[i].nbytes();
  }
  return bytes;
}

KVTRANSFER_INLINE const quantized_tensor& quantized_cache::keys(std::int64_t layer) const {
  require<frame_error>(materialized(), "quantized_cache::keys", "frame",
                       "stored and target to agree (call materialize() first, or dequantize())", "a pending move");
  require_unchanged("quantized_cache::keys");
  return at(keys_, layer);
}

KVTRANSFER_INLINE const quantized_tensor& quantized_cache::stored_keys(std::int64_t layer) const {
  require_unchanged("quantized_cache::stored_keys");
  return at(keys_, layer);
}

KVTRANSFER_INLINE const quantized_tensor& quantized_cache::values(std::int64_t layer) const {
  require_unchanged("quantized_cache::values");
  return at(values_, layer);
}

KVTRANSFER_INLINE void quantized_cache::materialize(const rope::options& options) {
  if (materialized()) {
    return;
  }
  require_unchanged("quantized_cache::materialize");
  detail::move_keys(keys_, stored_, target_, options);
  target_ = detail::rounded(stored_, target_);
  stored_ = target_;
  known_ = memory_changes::instance().note(memory_of(keys_), "quantized_cache::materialize");
}

KVTRANSFER_INLINE cache quantized_cache::dequantize(std::optional<at::ScalarType> dtype,
                                                    const rope::options& options) const {
  require_unchanged("quantized_cache::dequantize");
  auto [keys, values] = detail::keys_and_values_of(layers(), [&](std::int64_t i) {
    return std::pair(kvtransfer::dequantize(at(keys_, i), at::kFloat), kvtransfer::dequantize(at(values_, i), dtype));
  });
  detail::move_keys(keys, stored_, target_, options);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys[i] = keys[i].to(dtype.value_or(keys_[i].dtype));
  }
  return cache(std::move(keys), std::move(values), detail::rounded(stored_, target_), as_written);
}

KVTRANSFER_INLINE quantized_cache quantized_cache::slice(std::int64_t begin, std::int64_t end) const {
  return transform(stored_.slice(begin, end), target_.slice(begin, end),
                   [=](const quantized_tensor& tensor) { return kvtransfer::slice(tensor, begin, end).clone(); });
}

KVTRANSFER_INLINE std::vector<memory_range> quantized_cache::memory_of(const std::vector<quantized_tensor>& layers) {
  std::vector<memory_range> ranges;
  for (const quantized_tensor& layer : layers) {
    ranges.push_back(detail::memory_of(layer.codes));
  }
  return ranges;
}

KVTRANSFER_INLINE void quantized_cache::require_unchanged(std::string_view where) const {
  detail::require_unchanged(
      known_,
      [&] {
        std::vector<memory_range> all = memory_of(keys_);
        for (const memory_range& range : memory_of(values_)) {
          all.push_back(range);
        }
        return all;
      },
      where);
}

KVTRANSFER_INLINE const quantized_tensor& quantized_cache::at(const std::vector<quantized_tensor>& tensors,
                                                              std::int64_t layer) {
  require_index<shape_error>(layer, tensors.size(), "quantized_cache", "layer");
  return tensors[static_cast<std::size_t>(layer)];
}

KVTRANSFER_INLINE void quantized_cache::check_tensors(const std::vector<quantized_tensor>& tensors,
                                                      std::string_view what) const {
  for (const cache_frame* frame : {&stored_, &target_}) {
    require_count<shape_error>(tensors.size(), frame->layers(), "quantized_cache", what, "{} layers");
    for (std::int64_t i = 0; i < frame->layers(); ++i) {
      check_layer(at(tensors, i), frame->layer(i), what);
    }
  }
}

KVTRANSFER_INLINE void quantized_cache::check_layer(const quantized_tensor& tensor, const layer_frame& frame,
                                                    std::string_view what) {
  validate(tensor, "quantized_cache");
  frame.validate();
  const cache_extents extents = tensor.extents();
  const position_map& positions = frame.positions;
  require<shape_error>(
      positions.batch() == extents.batch && positions.size() == extents.seq &&
          (positions.heads() == 1 || positions.heads() == extents.kv_heads),
      "quantized_cache", what,
      formatted("[batch={}, kv_heads={}, seq={}]", positions.batch(), positions.heads(), positions.size()),
      formatted("{}", extents));
}

}  // namespace kvtransfer
