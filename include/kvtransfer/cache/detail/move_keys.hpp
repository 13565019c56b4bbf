#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/move_blocks.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/upload.hpp"

// The one planner of moves: which layers, which of their slots, how far. Whatever keys are stored in is a KeyStorage.

namespace kvtransfer::detail {

/// Where the keys of a layer stand and shall stand, and in which places they lie, each key once.
struct placed_positions {
  position_map stored;
  position_map target;
  std::vector<layouts::slot_span> spans;
  padding_moves padding = padding_moves::with_keys;
};

/// One rotary operation on some slots of layers that share their frames and are alike in all else that matters.
template <class Keys>
struct planned_rotation {
  std::vector<std::size_t> layers;
  move_block block;
  rope::rotation rotation;
  std::vector<Keys> keys = {};  ///< what is rotated, one a layer, sharing memory with the storage
  std::optional<rope::checked_rotation> checked = {};
};

/// What keys of several layers are stored in: whole tensors, rows by a table, or codes.
///
/// Layers may be one memory: `first_with_keys_of(layer)` is the first that has the same keys, which moves for all.
/// `prepare` is called for every rotation, then `check` for every one, which fills in what is left of it and throws
/// what `rotate` would; then `rotate` for every one: so all keys move, or none. Should one fail all the same, for lack
/// of memory, `memory` of all keys is noted as changed, and their owners refuse to read them.
template <class T>
concept KeyStorage = requires(T storage, const T constant, std::size_t layer, const layer_frame& frame,
                              planned_rotation<typename T::keys_type>& planned, const typename T::keys_type& keys,
                              const rope::options& options, std::string_view where) {
  { constant.layers() } -> std::same_as<std::size_t>;
  { constant.device(layer) } -> std::same_as<at::Device>;
  { constant.are_alike(layer, layer) } -> std::same_as<bool>;
  { constant.first_with_keys_of(layer) } -> std::same_as<std::size_t>;
  { constant.place(layer, frame, frame, where) } -> std::same_as<placed_positions>;
  storage.prepare(planned);
  storage.check(planned, frame, options, where);
  storage.rotate(planned, where);
  { T::memory(keys) } -> std::same_as<memory_range>;
};

/// Positions of whole tensors: sequence b in row b.
inline placed_positions placed_in_rows(const position_map& stored, const position_map& target) {
  placed_positions placed{stored, target, {}, padding_moves::with_keys};
  for (std::int64_t batch = 0; batch < stored.batch() && stored.size() > 0; ++batch) {
    placed.spans.push_back({batch, 0, batch, 0, stored.size()});
  }
  return placed;
}

/// The positions in `map` of the slots that `block` names: int64 `[streams, rows, heads or 1, slots]` on `device`.
inline at::Tensor positions_of(const move_block& block, const position_map& map, at::Device device) {
  const std::int64_t slots = block.slots.count;
  const std::int64_t first_head = block.head && map.heads() > 1 ? *block.head : 0;
  const std::int64_t heads = block.head ? 1 : map.heads();
  const auto rows = static_cast<std::int64_t>(block.rows.size());
  const at::Tensor positions = upload_buffer({map.streams(), rows, heads, slots}, at::kLong, device);
  std::int64_t* const out = positions.mutable_data_ptr<std::int64_t>();
  for (std::int64_t stream = 0; stream < map.streams(); ++stream) {
    for (std::int64_t head = 0; head < heads; ++head) {
      std::int64_t place = 0;  // of the slots of this head in all rows
      for (const sequence_piece& piece : block.pieces) {
        position_reader reader(map.row(stream, piece.batch, first_head + head));
        for (std::int64_t slot = piece.slots.begin; slot < piece.slots.end();) {
          const std::int64_t in_row = place % slots;
          const std::int64_t left = piece.slots.end() - slot;
          const std::int64_t count = heads == 1 ? left : std::min(left, slots - in_row);
          reader.read(slot, count, out + ((stream * rows + place / slots) * heads + head) * slots + in_row);
          slot += count;
          place += count;
        }
      }
    }
  }
  return uploaded(positions, device);
}

/// Which slots hold a key, bool `[batch, kv_heads or 1, seq]`; undefined where all do.
inline at::Tensor valid_slots(const position_map& positions, at::Device device) {
  const bool padded =
      std::ranges::any_of(positions.rows(), [](const position_row& row) { return row.key_count() != row.size(); });
  return padded ? validity_tensor(positions, device) : at::Tensor();
}

/// The same of the slots that `block` names, bool `[rows, kv_heads or 1, slots]`.
/// @param block of neighbouring rows, sequence b in row b
inline at::Tensor valid_in(const move_block& block, const position_map& positions, at::Device device) {
  at::Tensor all = valid_slots(positions, device);
  if (!all.defined()) {
    return all;
  }
  const at::Tensor rows = all.narrow(0, block.rows.front(), static_cast<std::int64_t>(block.rows.size()))
                              .narrow(2, block.slots.begin, block.slots.count);
  return block.head && rows.size(1) > 1 ? rows.narrow(1, *block.head, 1) : rows;
}

inline const rotary_specification& specification_of(const layer_frame& layer, slot_state state) {
  static const rotary_specification none;
  return state.is_rotated() ? layer.specifications.at(static_cast<std::size_t>(state.specification())) : none;
}

/// The rotation that takes the keys of a block from their positions and specification to the others; one that does not
/// rotate where they stay as they are. Positions are uploaded only where the rotation depends on them.
inline rope::rotation rotation_of(const move_block& block, const rotary_specification& from,
                                  const rotary_specification& to, const placed_positions& placed,
                                  const rope::options& options, at::Device device) {
  const auto& delta = block.move.delta;
  rope::rotation rotation;
  if (from == to && delta == 0) {
    return rotation;
  }
  rotation.from_specification = from;
  rotation.to_specification = to;
  if (from == to && delta && options.angles == rope::angle_mode::exact) {
    rotation.delta = *delta;
    return rotation;
  }
  if (from.rotates()) {
    rotation.from = positions_of(block, placed.stored, device);
  }
  if (to.rotates()) {
    rotation.to = positions_of(block, placed.target, device);
  }
  rotation.reach = device.is_cpu() ? 0 : std::max(placed.stored.reach(), placed.target.reach());
  return rotation;
}

/// The layers whose keys are not those of an earlier layer: what several share is moved once.
/// @throws frame_error where layers share their keys and would move them differently
template <KeyStorage Storage>
std::vector<std::size_t> layers_of_their_own(const Storage& storage, const cache_frame& stored,
                                             const cache_frame& target, std::string_view where) {
  const auto same = [](const cache_frame& frame, std::size_t a, std::size_t b) {
    return frame.layers_share(a, b) ||
           frame.layer(static_cast<std::int64_t>(a)) == frame.layer(static_cast<std::int64_t>(b));
  };
  std::vector<std::size_t> own;
  for (std::size_t layer = 0; layer < storage.layers(); ++layer) {
    const std::size_t first = storage.first_with_keys_of(layer);
    if (first == layer) {
      own.push_back(layer);
    } else if (!same(stored, first, layer) || !same(target, first, layer)) {
      fail<frame_error>(where, "keys", "one frame for layers whose keys are one memory",
                        fmt::format("layers {} and {} in different frames", first, layer));
    }
  }
  return own;
}

template <KeyStorage Storage>
std::vector<planned_rotation<typename Storage::keys_type>> planned_rotations(const Storage& storage,
                                                                             const cache_frame& stored,
                                                                             const cache_frame& target,
                                                                             const rope::options& options,
                                                                             std::string_view where) {
  const auto move_alike = [&](std::size_t a, std::size_t b) {
    return stored.layers_share(a, b) && target.layers_share(a, b) && storage.are_alike(a, b);
  };
  std::vector<planned_rotation<typename Storage::keys_type>> rotations;
  const std::vector<std::size_t> own = layers_of_their_own(storage, stored, target, where);
  for (std::vector<std::size_t>&group :
       alike_groups(own.size(), [&](std::size_t a, std::size_t b) { return move_alike(own[a], own[b]); })) {
    for (std::size_t& layer : group) {
      layer = own[layer];
    }
    const layer_frame& from = stored.layer(static_cast<std::int64_t>(group.front()));
    const layer_frame& to = target.layer(static_cast<std::int64_t>(group.front()));
    const placed_positions placed = storage.place(group.front(), from, to, where);
    for (move_block& block : move_blocks(placed.stored, placed.target, placed.spans, placed.padding)) {
      rope::rotation rotation =
          rotation_of(block, specification_of(from, block.move.from), specification_of(to, block.move.to), placed,
                      options, storage.device(group.front()));
      const bool moves = rotation.from.defined() || rotation.to.defined() || rotation.delta != 0;
      if (moves && rotation.geometry().rotates()) {
        rotations.push_back({group, std::move(block), std::move(rotation)});
      }
    }
  }
  return rotations;
}

/// Moves keys from the frame they are `stored` in to the `target`, one rotation each. Padding may move with them, or
/// not, as the storage says; no other slot is touched. An error leaves all keys as they were.
/// @throws frame_error, shape_error, device_error, value_error as the rotary operations do
template <KeyStorage Storage>
void move_storage(Storage& storage, const cache_frame& stored, const cache_frame& target, const rope::options& options,
                  std::string_view where) {
  const auto layers = static_cast<std::int64_t>(storage.layers());
  require<shape_error>(layers == stored.layers() && layers == target.layers(), where, "layers",
                       formatted("{} keys in one frame and the other", layers),
                       formatted("{} in the stored frame, {} in the target", stored.layers(), target.layers()));
  require<value_error>(!options.norm_weight.defined() || layers == 1, where, "options.norm_weight",
                       "a cache of one layer (each layer has a weight of its own)", "several layers");
  auto rotations = planned_rotations(storage, stored, target, options, where);
  for (auto& planned : rotations) {
    storage.prepare(planned);
  }
  for (auto& planned : rotations) {
    storage.check(planned, stored.layer(static_cast<std::int64_t>(planned.layers.front())), options, where);
  }
  try {
    for (auto& planned : rotations) {
      storage.rotate(planned, where);
    }
  } catch (...) {
    std::vector<memory_range> reached;
    for (const auto& planned : rotations) {
      std::ranges::transform(planned.keys, std::back_inserter(reached), &Storage::memory);
    }
    memory_changes::instance().note(std::move(reached), fmt::format("{} that failed", where));
    throw;
  }
}

}  // namespace kvtransfer::detail
