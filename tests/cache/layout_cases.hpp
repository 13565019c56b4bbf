#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/split_keys_values.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

/// A cache as `[batch, kv_heads, seq, head_dim]` with zeros for padding: what every layout is held against.
struct reference_cache {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  cache_frame frame;

  cache_view<> view() const { return cache_view<>(keys, values, frame, as_written); }
};

/// Where the slots of rows with fewer keys are padding.
enum class padding_side { none, left, right, inside };
inline constexpr padding_side every_side[] = {padding_side::none, padding_side::left, padding_side::right,
                                              padding_side::inside};
inline constexpr at::ScalarType every_dtype[] = {at::kFloat, at::kBFloat16, at::kHalf};

/// A layout that the library doesn't know: Megatron's.
struct seq_batch_heads_dim {
  static constexpr std::string_view name = "seq_batch_heads_dim";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor.permute({1, 2, 0, 3}); }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical.permute({2, 0, 1, 3}); }
};

inline constexpr std::int64_t reference_batch = 3;
inline constexpr std::int64_t reference_seq = 11;
inline constexpr std::int64_t reference_block_size = 4;

/// One row of 11 slots from position `first` on, row `batch` with 4 * batch fewer keys than slots.
inline position_row reference_row(std::int64_t batch, padding_side side, std::int64_t first) {
  const std::int64_t missing = side == padding_side::none ? 0 : 4 * batch;
  const std::int64_t keys = reference_seq - missing;
  const std::int64_t in_front = side == padding_side::left ? 0 : side == padding_side::inside ? 2 : keys;
  position_row row;
  row.append({first, in_front, 1, slot_state::rotated(0)});
  row.append({0, missing, 0, slot_state::padding()});
  row.append({first + in_front, keys - in_front, 1, slot_state::rotated(0)});
  return row;
}

/// Two layers in one frame: rows of 11, 7 and 3 keys (or 11 each) at positions 5, 105, 205 and on, with attention
/// scaling.
/// @param heads 1 for positions that heads share
inline cache_frame reference_frame(padding_side side, std::int64_t heads, const rotary_specification& specification) {
  std::vector<position_row> rows;
  for (std::int64_t b = 0; b < reference_batch; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      rows.push_back(reference_row(b, side, 5 + 100 * b + 10 * h));
    }
  }
  cache_frame frame(2, {position_map(1, reference_batch, heads, std::move(rows)), {specification}});
  std::vector<std::vector<std::int64_t>> ids;
  for (std::int64_t b = 0; b < reference_batch; ++b) {
    ids.emplace_back();
    for (const position_run& slot : frame.layer(0).positions.row(0, b, 0).one_run_per_slot()) {
      ids.back().push_back(slot.state.is_padding() ? -1 : 1000 * b + static_cast<std::int64_t>(ids.back().size()));
    }
  }
  frame.set_token_ids(std::move(ids));
  frame.set_origin(model_identity{"a model"});
  return frame;
}

/// A random tensor for every layer, zeros for padding.
inline std::vector<at::Tensor> random_layers(const cache_frame& frame, at::IntArrayRef sizes, at::ScalarType dtype,
                                             at::Device device, std::uint64_t seed) {
  std::vector<at::Tensor> layers;
  for (std::int64_t i = 0; i < frame.layers(); ++i) {
    const at::Tensor held = validity_tensor(frame.layer(i).positions).unsqueeze(-1);
    const at::Tensor random = random_keys(sizes, dtype, seed + static_cast<std::uint64_t>(i));
    layers.push_back(at::where(held, random, at::Scalar(0)).to(dtype).contiguous().to(device));
  }
  return layers;
}

/// Two KV heads of 8 elements, all of them rotated.
inline reference_cache reference_in(at::ScalarType dtype, padding_side side, at::Device device = at::kCPU,
                                    std::int64_t heads = 1) {
  rotary_specification specification = plain_specification(8);
  specification.attention_scaling = 1.25;
  cache_frame frame = reference_frame(side, heads, specification);
  std::vector<at::Tensor> keys = random_layers(frame, {reference_batch, 2, reference_seq, 8}, dtype, device, 1);
  std::vector<at::Tensor> values = random_layers(frame, {reference_batch, 2, reference_seq, 8}, dtype, device, 11);
  return {std::move(keys), std::move(values), std::move(frame)};
}

/// One head of 12 elements, a latent of 8 and a rotary key of 4; values are the latent.
inline reference_cache latent_reference_in(at::ScalarType dtype, padding_side side, at::Device device = at::kCPU) {
  rotary_specification specification = plain_specification(4);
  specification.window_offset = 8;
  cache_frame frame = reference_frame(side, 1, specification);
  std::vector<at::Tensor> keys = random_layers(frame, {reference_batch, 1, reference_seq, 12}, dtype, device, 1);
  std::vector<at::Tensor> values;
  for (const at::Tensor& layer : keys) {
    values.push_back(layer.narrow(-1, 0, 8));
  }
  return {std::move(keys), std::move(values), std::move(frame)};
}

/// The slots of row `batch` that hold a key in any head, one by one.
inline std::vector<std::int64_t> slots_with_keys(const cache_frame& frame, std::int64_t batch) {
  const at::Tensor held = std::get<0>(validity_tensor(frame.layer(0).positions)[batch].max(0));
  std::vector<std::int64_t> slots;
  for (std::int64_t slot = 0; slot < held.size(0); ++slot) {
    if (held[slot].item<bool>()) {
      slots.push_back(slot);
    }
  }
  return slots;
}

/// Tokens of all rows end to end, `[total_tokens, kv_heads, head_dim]`.
inline at::Tensor stored_ragged(const at::Tensor& canonical, const cache_frame& frame) {
  std::vector<at::Tensor> tokens;
  for (std::int64_t b = 0; b < canonical.size(0); ++b) {
    for (const std::int64_t slot : slots_with_keys(frame, b)) {
      tokens.push_back(canonical[b].select(1, slot));
    }
  }
  return at::stack(tokens);
}

/// Three blocks for each row, in no order, in a pool of twelve.
inline at::Tensor scattered_blocks(at::ScalarType dtype = at::kInt) {
  const std::vector<std::int64_t> ids = {7, 2, 10, 0, 11, 4, 9, 1, 5};
  return integer_tensor(ids, at::kCPU).view({reference_batch, 3}).to(dtype);
}

/// Writes a row's tokens into its blocks, token by token, with `slot_of(pool, block, slot)` telling where.
template <class SlotOf>
void store_in_blocks(const at::Tensor& canonical, const cache_frame& frame, const at::Tensor& pool, SlotOf&& slot_of) {
  for (std::int64_t b = 0; b < canonical.size(0); ++b) {
    const std::vector<std::int64_t> slots = slots_with_keys(frame, b);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto token = static_cast<std::int64_t>(i);
      const auto block = scattered_blocks()[b][token / reference_block_size].item<std::int64_t>();
      slot_of(pool, block, token % reference_block_size).copy_(canonical[b].select(1, slots[i]));
    }
  }
}

inline at::Tensor slot_of_nhd(const at::Tensor& pool, std::int64_t block, std::int64_t slot) {
  return pool[block][slot];
}
inline at::Tensor slot_of_hnd(const at::Tensor& pool, std::int64_t block, std::int64_t slot) {
  return pool[block].select(1, slot);
}

/// Keys and values of each layer in one random pool, in blocks of four tokens.
/// @param sizes of the pool, an axis of two for keys and values included
template <class SlotOf>
keys_and_values stored_in_pools(const reference_cache& reference, at::IntArrayRef sizes, std::int64_t axis,
                                SlotOf&& slot_of) {
  std::vector<at::Tensor> pools;
  for (std::size_t i = 0; i < reference.keys.size(); ++i) {
    pools.push_back(random_keys(sizes, reference.keys[i].scalar_type(), 100 + i).to(reference.keys[i].device()));
    store_in_blocks(reference.keys[i], reference.frame, pools.back().select(axis, 0), slot_of);
    store_in_blocks(reference.values[i], reference.frame, pools.back().select(axis, 1), slot_of);
  }
  return split_keys_values(pools, axis);
}

/// `canonical` of every layer rearranged by `change`, in storage of its own.
template <class Change>
std::vector<at::Tensor> rearranged(const std::vector<at::Tensor>& canonical, Change&& change) {
  std::vector<at::Tensor> changed;
  for (const at::Tensor& layer : canonical) {
    changed.push_back(change(layer).clone(at::MemoryFormat::Contiguous));
  }
  return changed;
}

/// Calls `visit(view)` with the reference in every layout with heads, each in storage of its own, written without the
/// library.
template <class Visit>
void for_each_layout(const reference_cache& reference, Visit&& visit) {
  const cache_frame& frame = reference.frame;
  const position_map& positions = frame.layer(0).positions;
  const std::int64_t heads = reference.keys.front().size(1);
  const std::int64_t head_dim = reference.keys.front().size(3);
  const auto shown = [&](std::vector<at::Tensor> keys, std::vector<at::Tensor> values, auto layout,
                         std::string_view name) {
    INFO("in layout " << name);
    visit(cache_view<decltype(layout)>(keys, values, frame, as_written, layout));
  };
  const auto same = [](const at::Tensor& layer) { return layer; };
  const auto seq_first = [](const at::Tensor& layer) { return layer.transpose(1, 2); };
  const auto transposed = [](const at::Tensor& layer) { return layer.transpose(2, 3); };
  const auto megatron = [](const at::Tensor& layer) { return layer.permute({2, 0, 1, 3}); };
  const auto ragged = [&](const at::Tensor& layer) { return stored_ragged(layer, frame); };
  shown(rearranged(reference.keys, same), rearranged(reference.values, same), layouts::batch_heads_seq_dim{},
        "batch_heads_seq_dim");
  shown(rearranged(reference.keys, seq_first), rearranged(reference.values, seq_first), layouts::batch_seq_heads_dim{},
        "batch_seq_heads_dim");
  shown(rearranged(reference.keys, seq_first), rearranged(reference.values, transposed), layouts::llama_cpp{},
        "llama_cpp");
  shown(rearranged(reference.keys, megatron), rearranged(reference.values, megatron), seq_batch_heads_dim{},
        "Megatron's");
  shown(rearranged(reference.keys, ragged), rearranged(reference.values, ragged),
        layouts::ragged{layouts::cumulative_slots(positions)}, "ragged");
  const layouts::slot_table blocks = layouts::block_slots(positions, scattered_blocks(), reference_block_size);
  const keys_and_values nhd =
      stored_in_pools(reference, {2, 12, reference_block_size, heads, head_dim}, 0, slot_of_nhd);
  shown(nhd.keys, nhd.values, layouts::paged_nhd{blocks}, "paged_nhd");
  const keys_and_values hnd =
      stored_in_pools(reference, {12, 2, heads, reference_block_size, head_dim}, 1, slot_of_hnd);
  shown(hnd.keys, hnd.values, layouts::paged_hnd{blocks}, "paged_hnd");
}

/// The same for a latent reference in the layouts of multi-head latent attention.
template <class Visit>
void for_each_latent_layout(const reference_cache& reference, Visit&& visit) {
  const cache_frame& frame = reference.frame;
  const position_map& positions = frame.layer(0).positions;
  const auto shown = [&](const std::vector<at::Tensor>& tensors, auto layout, std::string_view name) {
    INFO("in layout latent of " << name);
    visit(cache_view<decltype(layout)>(tensors, tensors, frame, as_written, layout));
  };
  const auto headless = [](const at::Tensor& layer) { return layer.squeeze(1); };
  shown(rearranged(reference.keys, headless), layouts::latent(layouts::batch_heads_seq_dim{}, 8), "batch_seq_dim");
  shown(rearranged(reference.keys, [&](const at::Tensor& layer) { return stored_ragged(layer, frame).squeeze(1); }),
        layouts::latent(layouts::ragged{layouts::cumulative_slots(positions)}, 8), "ragged");
  std::vector<at::Tensor> pools;
  for (const at::Tensor& layer : reference.keys) {
    pools.push_back(random_keys({12, reference_block_size, layer.size(3)}, layer.scalar_type()).to(layer.device()));
    store_in_blocks(layer, frame, pools.back().unsqueeze(1), slot_of_hnd);
  }
  shown(
      pools,
      layouts::latent(layouts::paged_hnd{layouts::block_slots(positions, scattered_blocks(), reference_block_size)}, 8),
      "paged");
}

/// Calls `check(reference view, view in another layout)` for every layout, dtype and side of padding.
template <class Check>
void for_each_case(at::Device device, Check&& check) {
  for (const at::ScalarType dtype : every_dtype) {
    for (const padding_side side : every_side) {
      INFO(c10::toString(dtype) << ", padding " << static_cast<int>(side));
      const reference_cache reference = reference_in(dtype, side, device);
      for_each_layout(reference, [&](const auto& view) { check(reference.view(), view); });
      const reference_cache latent = latent_reference_in(dtype, side, device);
      for_each_latent_layout(latent, [&](const auto& view) { check(latent.view(), view); });
    }
  }
}

/// Every key and value, bit for bit, and the frame.
template <LayerLayout A, LayerLayout B>
void require_same(const cache_view<A>& found, const cache_view<B>& expected) {
  REQUIRE(found.frame() == expected.frame());
  for (std::int64_t i = 0; i < expected.layers(); ++i) {
    REQUIRE(at::equal(found.layer(i).keys(), expected.layer(i).keys()));
    REQUIRE(at::equal(found.layer(i).values(), expected.layer(i).values()));
  }
}

}  // namespace kvtransfer::test
