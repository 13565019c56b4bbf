#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

/// Keys of one layer that are meant: a mark for every sequence, KV head and slot.
struct layer_marks {
  std::int64_t batch = 0;
  std::int64_t kv_heads = 0;
  std::int64_t seq = 0;
  std::vector<char> marks;  // char: a vector of bool has no elements to copy from

  [[nodiscard]] bool at(std::int64_t b, std::int64_t head, std::int64_t slot) const {
    return marks[static_cast<std::size_t>((b * kv_heads + head) * seq + slot)] != 0;
  }
  [[nodiscard]] bool any() const {
    return std::ranges::any_of(marks, [](char mark) { return mark != 0; });
  }
  /// bool `[batch, kv_heads, seq, 1]`
  [[nodiscard]] at::Tensor tensor(at::Device device) const {
    const at::Tensor host = new_tensor({batch, kv_heads, seq, 1}, at::kBool);
    std::ranges::transform(marks, host.mutable_data_ptr<bool>(), [](char mark) { return mark != 0; });
    return device.is_cpu() ? host : host.to(device);
  }

  friend bool operator==(const layer_marks&, const layer_marks&) = default;
};

using slot_marks = std::vector<layer_marks>;  // one per layer

/// The keys of `source` that `chosen` says are meant; padding never is.
inline slot_marks marked(const cache_view<>& source, const slot_predicate& chosen) {
  slot_marks all;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const cache_frame::token_rows& ids = source.frame().token_ids(i);
    const cache_extents extents = source.layer(i).extents();
    layer_marks layer{extents.batch, extents.kv_heads, extents.seq, {}};
    layer.marks.reserve(static_cast<std::size_t>(layer.batch * layer.kv_heads * layer.seq));
    for (std::int64_t b = 0; b < layer.batch; ++b) {
      const auto* row = ids.empty() ? nullptr : &ids[static_cast<std::size_t>(b)];
      for (std::int64_t head = 0; head < layer.kv_heads; ++head) {
        slot_address address{i, b, head};
        for (const position_run& key : source.layer(i).frame().positions.row(0, b, head).one_run_per_slot()) {
          const auto slot = static_cast<std::size_t>(address.slot);
          address.position = key.first;
          address.token_id = row != nullptr ? (*row)[slot] : -1;
          layer.marks.push_back(static_cast<char>(!key.state.is_padding() && chosen(address)));
          ++address.slot;
        }
      }
    }
    all.push_back(std::move(layer));
  }
  return all;
}

/// Every key of `source`.
inline slot_marks all_marked(const cache_view<>& source) {
  return marked(source, [](const slot_address&) { return true; });
}

/// `positions` with padding in all slots that are not marked; one row for all heads where they agree.
inline position_map only_marked(const position_map& positions, const layer_marks& kept) {
  const auto row_of = [&](std::int64_t stream, std::int64_t b, std::int64_t head) {
    position_row row;
    std::int64_t slot = 0;
    for (const position_run& key : positions.row(stream, b, head).one_run_per_slot()) {
      row.append(kept.at(b, head, slot++) ? key : position_run{0, 1, 0, slot_state::padding()});
    }
    return row;
  };
  const auto map = [&](std::int64_t heads) {
    return position_map::of_rows(positions.streams(), positions.batch(), heads, row_of);
  };
  position_map by_head = map(kept.kv_heads);
  position_map shared = map(1);
  return shared.with_heads(kept.kv_heads) == by_head ? shared : by_head;
}

/// `source` without what is not marked: padding stands in its place, and no number is copied. Layers that shared a
/// frame still do where they are cut alike.
inline cache_view<> only_marked(const cache_view<>& source, const slot_marks& kept) {
  const auto cut = [&](const cache_frame& frame) {
    return frame.with_layers(make_for_alike(
        kept.size(), [&](std::size_t a, std::size_t b) { return frame.layers_share(a, b) && kept[a] == kept[b]; },
        [&](std::size_t i) -> cache_frame::shared_layer {
          const layer_frame& layer = frame.layer(static_cast<std::int64_t>(i));
          return std::make_shared<layer_frame>(layer.with_positions(only_marked(layer.positions, kept[i])));
        }));
  };
  return view_access::reread(source, view_access::frames(source).transform(cut));
}

}  // namespace kvtransfer::detail
