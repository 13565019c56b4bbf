#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "rope/random_keys.hpp"

namespace kvtransfer::test {

inline constexpr std::int64_t sample_heads = 2;
inline constexpr std::int64_t sample_head_dim = 8;
inline constexpr std::int64_t sample_value_dim = 6;

/// A specification in which no field has its default.
inline rotary_specification sample_specification(double scaling = 1.0693147180559945) {
  rotary_specification specification = plain_specification(4, 5e5);
  specification.rope_type = "yarn";
  specification.inv_freq.back() = -0.1F;  // not what decimal 0.1 is in double
  specification.attention_scaling = scaling;
  specification.pairing = rope::pairing::interleaved;
  specification.window_offset = 3;
  specification.normed_after_rotation = true;
  return specification;
}

/// `count` keys from `first` on behind as much padding as fills `seq`.
inline position_row padded_row(std::int64_t seq, std::int64_t first, std::int64_t count) {
  position_row row;
  row.append({0, seq - count, 0, slot_state::padding()});
  row.append({first, count, 1, slot_state::rotated()});
  return row;
}

/// Two texts of unequal length.
inline layer_frame unequal_rows(std::int64_t seq = 5) {
  return {position_map(1, 2, 1, {padded_row(seq, 0, seq), padded_row(seq, 100, seq - 2)}), {sample_specification()}};
}

/// Every head with positions of its own, keys of two specifications and some that were never rotated.
inline layer_frame positions_by_head() {
  std::vector<position_row> rows;
  for (std::int64_t i = 0; i < 2 * sample_heads; ++i) {
    position_row row = position_row::listed({7 * i, 3, -40}, slot_state::rotated(1));
    row.append({1 << 20, 2, 0, slot_state::rotated(0)});
    row.append({9, 2, 1, slot_state::unrotated()});
    rows.push_back(row);
  }
  return {position_map(1, 2, sample_heads, std::move(rows)), {sample_specification(), sample_specification(1.25)}};
}

/// Positions on three streams, as M-RoPE has them.
inline layer_frame three_streams() {
  rotary_specification specification = plain_specification(6);
  specification.stream_of = {2, 0, 1};
  std::vector<position_row> rows;
  for (std::int64_t stream = 0; stream < 3; ++stream) {
    for (std::int64_t batch = 0; batch < 2; ++batch) {
      position_row row = position_row::consecutive(0, 1, slot_state::padding());
      row.append({4 + batch, 3, stream % 2, slot_state::rotated()});
      rows.push_back(row);
    }
  }
  return {position_map(3, 2, 1, std::move(rows)), {specification}};
}

/// Six layers: two that share their frame, then one each by head, with streams, without RoPE and without a slot.
inline cache_frame sample_frame() {
  const auto shared = [](layer_frame layer) { return std::make_shared<const layer_frame>(std::move(layer)); };
  const cache_frame::shared_layer first = shared(unequal_rows());
  const position_map no_slots(1, 2, 1, std::vector<position_row>(2));
  const position_map text = position_map::consecutive(0, 3, 2);
  const rotary_specification no_rope{};
  cache_frame frame({first, first, shared(positions_by_head()), shared(three_streams()), shared({text, {no_rope}}),
                     shared({no_slots, {}})});
  const auto text_of_first =
      std::make_shared<const cache_frame::token_rows>(cache_frame::token_rows{{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}});
  frame.set_tokens(layer_tokens({text_of_first, text_of_first, nullptr, nullptr, nullptr, nullptr}));
  frame.set_origin(model_identity{"LlamaForCausalLM-6x64-0123456789abcdef"});
  frame.set_assumed();
  frame.add_edit({edit_kind::noise, cache_half::keys, {1, 2}, {1}, {{0, 2}, {4, 1}}, "seed 7"});
  return frame;
}

/// Random keys and values for a frame; values are narrower than keys.
inline cache sample_cache(const cache_frame& frame = sample_frame(), at::ScalarType dtype = at::kFloat) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < frame.layers(); ++i) {
    const std::int64_t batch = frame.layer(i).positions.batch();
    const std::int64_t seq = frame.layer(i).size();
    const auto seed = static_cast<std::uint64_t>(2 * i);
    keys.push_back(random_keys({batch, sample_heads, seq, sample_head_dim}, dtype, seed));
    values.push_back(random_keys({batch, sample_heads, seq, sample_value_dim}, dtype, seed + 1));
  }
  return cache(std::move(keys), std::move(values), frame, as_written);
}

/// Whether two tensors agree in shape, type and every bit.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto bytes = [](const at::Tensor& tensor) { return tensor.contiguous().view({-1}).view(at::kByte); };
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(bytes(a), bytes(b));
}

/// Whether two caches agree in frame, and in every bit of keys and values.
inline bool same_cache(const cache_view<>& a, const cache_view<>& b) {
  bool same = a.frame() == b.frame() && a.layers() == b.layers();
  for (std::int64_t i = 0; same && i < a.layers(); ++i) {
    same = same_bits(a.layer(i).keys(), b.layer(i).keys()) && same_bits(a.layer(i).values(), b.layer(i).values());
  }
  return same;
}

}  // namespace kvtransfer::test
