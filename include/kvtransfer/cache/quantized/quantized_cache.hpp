#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/move_tensors.hpp"
#include "kvtransfer/cache/key_moves.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer {

/// Owns quantized keys and values of every layer, with the frame they are in.
///
/// Moves wait as those of a `cache` do, which here decides what they cost: `dequantize()` rotates full-precision keys
/// to their target positions, so a move that is only ever read that way adds no error at all, however many there were.
/// `materialize()` is for those who read the codes themselves: it rotates them, and so quantizes a second time. Keys
/// quantized without rotation (`cache::unrotate()`, `materialize()`, `quantize()`) never need it: a shift or remap of
/// theirs is a change of the frame alone, and `rotate()` before `dequantize()` gives them their rotation.
///
/// A cache in fp8 with one static scale (vLLM's k_scale) needs none of this: a rotation is linear, so a
/// `borrowed_cache` moves it in units of its scale, which stays, and refuses a move by which a key would outgrow fp8.
class quantized_cache : public key_moves<quantized_cache> {
 public:
  static constexpr std::string_view name = "quantized_cache";  ///< As errors call it.

  /// Takes over codes that a caller brings. Nobody has said that they are a model's, therefore the frame's origin is
  /// forgotten: give `as_written` where it is known. @throws shape_error, value_error where tensors and frame disagree
  quantized_cache(std::vector<quantized_tensor> keys, std::vector<quantized_tensor> values, const cache_frame& stored)
      : quantized_cache(std::move(keys), std::move(values), stored, stored) {}

  /// The same with moves that are yet to be made.
  /// @throws as above, for either frame; frame_error unless both have keys in the same slots
  quantized_cache(std::vector<quantized_tensor> keys, std::vector<quantized_tensor> values, cache_frame stored,
                  cache_frame target)
      : quantized_cache(std::move(keys), std::move(values), std::move(stored).without_origin(),
                        std::move(target).without_origin(), as_written) {}

  /// Takes over codes of what `stored` says a model wrote. @throws as above
  quantized_cache(std::vector<quantized_tensor> keys, std::vector<quantized_tensor> values, const cache_frame& stored,
                  as_written_t)
      : quantized_cache(std::move(keys), std::move(values), stored, stored, as_written) {}

  /// The same with moves that are yet to be made. @throws as above
  quantized_cache(std::vector<quantized_tensor> keys, std::vector<quantized_tensor> values, cache_frame stored,
                  cache_frame target, as_written_t);

  /// Leaves nothing behind that may be read.
  quantized_cache(quantized_cache&&) = default;
  /// Leaves nothing behind that may be read.
  quantized_cache& operator=(quantized_cache&&) = default;
  quantized_cache(const quantized_cache&) = delete;
  quantized_cache& operator=(const quantized_cache&) = delete;

  /// A copy with storage of its own, its pending moves included.
  [[nodiscard]] quantized_cache clone() const;

  /// Heads that hold keys and values in `layer`. @throws shape_error if there is no such layer
  [[nodiscard]] std::int64_t kv_heads(std::int64_t layer = 0) const { return at(keys_, layer).extents().kv_heads; }

  /// Bytes of codes, scales and minimums.
  [[nodiscard]] std::int64_t nbytes() const;

  /// The codes of a layer, to be read. @throws frame_error while a move is pending: call materialize() first, or
  /// dequantize()
  [[nodiscard]] const quantized_tensor& keys(std::int64_t layer) const;
  /// The same in the frame `stored`, whatever is pending. @throws frame_error where somebody else has moved the codes
  [[nodiscard]] const quantized_tensor& stored_keys(std::int64_t layer) const;
  /// The codes of a layer's values, which no move touches. @throws shape_error if there is no such layer, frame_error
  /// where somebody else has moved them
  [[nodiscard]] const quantized_tensor& values(std::int64_t layer) const;

  /// Makes all moves asked for so far in the codes: one rotation and one more quantization. Values are not touched.
  /// @throws as the rotary operations do, and then nothing has moved
  void materialize(const rope::options& options = {});

  /// A cache of what the codes stand for, keys rotated in float32 to their target positions, rounded once. Nothing here
  /// changes.
  /// @param dtype as before quantization where there is none
  [[nodiscard]] cache dequantize(std::optional<at::ScalarType> dtype = std::nullopt,
                                 const rope::options& options = {}) const;

  /// A copy of the slots [begin, end) of every layer, pending moves included; groups that are cut keep their scales.
  /// @throws shape_error unless 0 <= begin <= end <= the shortest layer's slots
  [[nodiscard]] quantized_cache slice(std::int64_t begin, std::int64_t end) const;

 private:
  /// Where codes lie.
  [[nodiscard]] static std::vector<memory_range> memory_of(const std::vector<quantized_tensor>& layers);

  /// @throws frame_error where somebody else has moved what lies here
  void require_unchanged(std::string_view where) const;

  template <class Change>
  quantized_cache transform(cache_frame stored, cache_frame target, Change&& change) const {
    require_unchanged("quantized_cache");
    auto [keys, values] = detail::keys_and_values_of(
        layers(), [&](std::int64_t i) { return std::pair(change(at(keys_, i)), change(at(values_, i))); });
    return quantized_cache(std::move(keys), std::move(values), std::move(stored), std::move(target), as_written);
  }

  [[nodiscard]] static const quantized_tensor& at(const std::vector<quantized_tensor>& tensors, std::int64_t layer);

  /// @throws shape_error, value_error unless `tensors` hold the slots that both frames describe
  void check_tensors(const std::vector<quantized_tensor>& tensors, std::string_view what) const;

  static void check_layer(const quantized_tensor& tensor, const layer_frame& frame, std::string_view what);

  std::vector<quantized_tensor> keys_;
  std::vector<quantized_tensor> values_;
  std::uint64_t known_;  // the last change of memory when the codes were known to be as `stored_` says
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/quantized/detail/quantized_cache.ipp"  // IWYU pragma: export
#endif
