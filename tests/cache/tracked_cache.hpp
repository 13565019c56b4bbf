#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "cache/reference_keys.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "rope/random_keys.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

/// A random cache and, beside it, a list of how each of its keys is written. Moves go to both: to the cache by its own
/// operations, to the list by plain arithmetic.
///
/// Drawn at random: extents, layout in memory, spare capacity, layers that share a frame, left padding, positions
/// shared by heads or not, one position stream or three, a rotary window inside the head, pairing, several
/// specifications in one layer, layers without RoPE, and whether keys are rotated to begin with, or not, or only some.
class tracked_cache {
 public:
  tracked_cache(std::uint32_t seed, at::ScalarType dtype) : random_(seed), dtype_(dtype) {
    extents_ = {number(1, 3), number(1, 3), number(1, 10), number(6, 8) * 2};
    streams_ = number(0, 3) == 0 ? 3 : 1;
    for (std::int64_t b = 0; b < extents_.batch; ++b) {
      padding_.push_back(number(0, 1) * number(0, extents_.seq - 1));
    }
    const std::int64_t layers = number(1, 4);
    for (std::int64_t i = 0; i < layers; ++i) {
      add_layer();
    }
    make_cache();
  }

  /// One move, drawn at random. A move that the frame does not justify must be refused and change nothing.
  void move() {
    switch (number(0, 5)) {
      case 0:
        return shift(number(-500, 500));
      case 1:
        return remap();
      case 2:
        return unrotate();
      case 3:
        return rotate();
      case 4:
        return reframe();
      default:
        return cache_->materialize();
    }
  }

  /// Materializes and compares everything the cache holds with what it must hold.
  /// @param tolerance the largest error allowed in an element of a key; values and spare slots must not change at all
  void check(double tolerance) {
    cache_->materialize();
    const cache_view<> view = cache_->view();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const tracked_layer& layer = layers_[i];
      const layer_view<>& found = view.layer(static_cast<std::int64_t>(i));
      const at::Tensor held = validity_tensor(found.frame().positions).unsqueeze(-1);
      const at::Tensor expected = reference_written(layer.plain, layer.keys);
      REQUIRE(max_difference(at::where(held, found.keys().to(at::kDouble), 0), at::where(held, expected, 0)) <
              tolerance);
      REQUIRE(at::equal(found.values(), layer.values));
      REQUIRE(at::equal(layer.whole_keys.slice(2, extents_.seq), layer.spare_keys));
    }
  }

 private:
  /// What all specifications of a layer have in common.
  struct geometry {
    std::size_t pairs = 0;
    std::int64_t window_offset = 0;
    rope::pairing pairing = rope::pairing::half_split;
    std::vector<std::uint8_t> stream_of;
  };

  struct tracked_layer {
    geometry rotary;
    bool heads_share = true;
    cache_frame::shared_layer frame;
    std::vector<reference_key> keys;  // row-major over batch, kv_heads, seq
    at::Tensor plain;                 // float64, before any rotation
    at::Tensor values;
    at::Tensor whole_keys;  // what the cache was given, spare slots included
    at::Tensor spare_keys;  // a copy of what the spare slots held
  };

  std::int64_t number(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  geometry random_geometry() {
    geometry made;
    made.pairs = static_cast<std::size_t>(number(0, 5) == 0 ? 0 : number(1, extents_.head_dim / 2));
    made.window_offset = number(0, extents_.head_dim - 2 * static_cast<std::int64_t>(made.pairs));
    made.pairing = number(0, 1) == 0 ? rope::pairing::half_split : rope::pairing::interleaved;
    for (std::size_t i = 0; i < made.pairs && streams_ == 3; ++i) {
      made.stream_of.push_back(static_cast<std::uint8_t>(number(0, 2)));
    }
    return made;
  }

  rotary_specification random_specification(const geometry& rotary) {
    rotary_specification made;
    for (std::size_t i = 0; i < rotary.pairs; ++i) {
      made.inv_freq.push_back(std::pow(10.0F, -0.01F * static_cast<float>(number(0, 400))));
    }
    made.attention_scaling = number(0, 1) == 0 ? 1.0 : 0.01 * static_cast<double>(number(80, 130));
    made.window_offset = rotary.window_offset;
    made.pairing = rotary.pairing;
    made.stream_of = rotary.stream_of;
    return made;
  }

  std::vector<rotary_specification> random_specifications() {
    std::vector<rotary_specification> made;
    for (const tracked_layer& layer : layers_) {
      made.push_back(random_specification(layer.rotary));
      for (std::size_t other = 0; other + 1 < made.size(); ++other) {
        if (layers_[other].frame == layer.frame && number(0, 1) == 0) {
          made.back() = made[other];
        }
      }
    }
    return made;
  }

  /// Positions of one row and stream: runs of step 1 and 0 with leaps between them.
  std::vector<std::int64_t> random_row() {
    std::vector<std::int64_t> row;
    std::int64_t position = number(-100, 3000);
    for (std::int64_t slot = 0; slot < extents_.seq; ++slot) {
      position += number(0, 5) == 0 ? number(-700, 700) : number(0, 8) != 0;
      row.push_back(position);
    }
    return row;
  }

  /// Rows of positions for `heads` heads; every state is left at its default.
  position_map random_positions_map(std::int64_t heads) {
    std::vector<position_row> rows;
    for (std::int64_t i = 0; i < streams_ * extents_.batch * heads; ++i) {
      rows.push_back(position_row::listed(random_row()));
    }
    return position_map(streams_, extents_.batch, heads, std::move(rows));
  }

  std::size_t index(std::int64_t batch, std::int64_t head, std::int64_t slot) const {
    return static_cast<std::size_t>((batch * extents_.kv_heads + head) * extents_.seq + slot);
  }

  /// Calls `visit(key, batch, head, slot)` for every key of a layer that is not padding.
  template <class Visit>
  void for_each_key(tracked_layer& layer, Visit&& visit) {
    for (std::int64_t b = 0; b < extents_.batch; ++b) {
      for (std::int64_t h = 0; h < extents_.kv_heads; ++h) {
        for (std::int64_t slot = padding_[static_cast<std::size_t>(b)]; slot < extents_.seq; ++slot) {
          visit(layer.keys[index(b, h, slot)], b, h, slot);
        }
      }
    }
  }

  void place(tracked_layer& layer, const position_map& map) {
    for_each_key(layer, [&](reference_key& key, std::int64_t b, std::int64_t h, std::int64_t slot) {
      key.positions.clear();
      for (std::int64_t stream = 0; stream < streams_; ++stream) {
        key.positions.push_back(map.row(stream, b, h).positions()[static_cast<std::size_t>(slot)]);
      }
    });
  }

  void add_layer() {
    tracked_layer layer;
    if (!layers_.empty() && number(0, 1) == 0) {
      const tracked_layer& like =
          layers_[static_cast<std::size_t>(number(0, static_cast<std::int64_t>(layers_.size()) - 1))];
      layer.rotary = like.rotary;
      layer.frame = like.frame;
      layer.keys = like.keys;
    } else {
      layer.rotary = random_geometry();
      layer.heads_share = number(0, 1) == 0;
      layer.keys.resize(static_cast<std::size_t>(extents_.batch * extents_.kv_heads * extents_.seq));
      place(layer, random_positions_map(layer.heads_share ? 1 : extents_.kv_heads));
      write_somehow(layer);
      layer.frame = std::make_shared<const layer_frame>(frame_of(layer));
    }
    const auto seed = static_cast<std::uint64_t>(number(1, 1 << 30));
    layer.plain = random_keys({extents_.batch, extents_.kv_heads, extents_.seq, extents_.head_dim}, at::kDouble, seed);
    layers_.push_back(std::move(layer));
  }

  /// Chooses how each key is written: under one of three specifications that follow each other along the row, or not at
  /// all.
  void write_somehow(tracked_layer& layer) {
    std::vector<std::optional<rotary_specification>> ways;
    const std::int64_t kind = number(0, 4);
    for (std::int64_t way = 0; way < 3; ++way) {
      const bool rotated = kind < 3 || (kind == 3 && way > 0);
      ways.push_back(rotated ? std::optional(random_specification(layer.rotary)) : std::nullopt);
    }
    const bool rows_agree = number(0, 1) == 0;
    std::vector<std::array<std::int64_t, 3>>
        cuts;  // first slot of the second way, of the third, and which way is first
    for (std::int64_t row = 0; row < extents_.batch * extents_.kv_heads; ++row) {
      cuts.push_back({number(0, extents_.seq), number(0, extents_.seq), number(0, 2)});
    }
    for_each_key(layer, [&](reference_key& key, std::int64_t batch, std::int64_t head, std::int64_t slot) {
      const std::int64_t row = rows_agree ? 0 : batch * extents_.kv_heads + (layer.heads_share ? 0 : head);
      const auto [second, third, first_way] = cuts[static_cast<std::size_t>(row)];
      key.specification = ways[static_cast<std::size_t>((first_way + (slot >= second) + (slot >= third)) % 3)];
    });
  }

  layer_frame frame_of(const tracked_layer& layer) const {
    layer_frame made;
    std::vector<position_row> rows;
    for (std::int64_t stream = 0; stream < streams_; ++stream) {
      for (std::int64_t b = 0; b < extents_.batch; ++b) {
        for (std::int64_t h = 0; h < (layer.heads_share ? 1 : extents_.kv_heads); ++h) {
          rows.emplace_back();
          for (std::int64_t slot = 0; slot < extents_.seq; ++slot) {
            const reference_key& key = layer.keys[index(b, h, slot)];
            const bool padding = key.positions.empty();
            const slot_state state = padding ? slot_state::padding()
                                     : key.specification
                                         ? slot_state::rotated(made.specification_index(*key.specification))
                                         : slot_state::unrotated();
            rows.back().append({padding ? 0 : key.positions[static_cast<std::size_t>(stream)], 1, 1, state});
          }
        }
      }
    }
    made.positions = position_map(streams_, extents_.batch, layer.heads_share ? 1 : extents_.kv_heads, std::move(rows));
    return made;
  }

  void make_cache() {
    const std::int64_t capacity = extents_.seq + number(0, 3);
    const bool heads_inside = number(0, 1) == 0;
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    std::vector<cache_frame::shared_layer> frames;
    for (tracked_layer& layer : layers_) {
      const auto seed = static_cast<std::uint64_t>(number(1, 1 << 30));
      layer.whole_keys = random_keys({extents_.batch, extents_.kv_heads, capacity, extents_.head_dim}, dtype_, seed);
      if (heads_inside) {
        layer.whole_keys = layer.whole_keys.transpose(1, 2).contiguous().transpose(1, 2);
      }
      layer.whole_keys.slice(2, 0, extents_.seq).copy_(reference_written(layer.plain, layer.keys));
      layer.spare_keys = layer.whole_keys.slice(2, extents_.seq).clone();
      const at::Tensor whole_values = random_keys(layer.whole_keys.sizes(), dtype_, seed + 1);
      layer.values = whole_values.slice(2, 0, extents_.seq).clone();
      keys.push_back(layer.whole_keys);
      values.push_back(whole_values);
      frames.push_back(layer.frame);
    }
    cache_.emplace(std::move(keys), std::move(values), cache_frame(std::move(frames)));
  }

  bool every_key(bool rotated) {
    bool all = true;
    for (tracked_layer& layer : layers_) {
      for_each_key(
          layer, [&](reference_key& key, auto, auto, auto) { all = all && key.specification.has_value() == rotated; });
    }
    return all;
  }

  template <class Move>
  void require_refused(Move&& refused) {
    const cache_frame before = cache_->target();
    REQUIRE_THROWS_AS(refused(), frame_error);
    REQUIRE(cache_->target() == before);
  }

  void shift(std::int64_t delta) {
    cache_->shift(delta);
    for (tracked_layer& layer : layers_) {
      for_each_key(layer, [&](reference_key& key, auto, auto, auto) {
        for (std::int64_t& position : key.positions) {
          position += delta;
        }
      });
    }
  }

  void remap() {
    const position_map map = random_positions_map(number(0, 1) == 0 ? 1 : extents_.kv_heads);
    cache_->remap(map);
    for (tracked_layer& layer : layers_) {
      place(layer, map);
    }
  }

  void unrotate() {
    if (!every_key(true)) {
      return require_refused([&] { cache_->unrotate(); });
    }
    cache_->unrotate();
    for (tracked_layer& layer : layers_) {
      for_each_key(layer, [](reference_key& key, auto, auto, auto) { key.specification.reset(); });
    }
  }

  void rotate() {
    const std::vector<rotary_specification> specifications = random_specifications();
    if (!every_key(false)) {
      return require_refused([&] { cache_->rotate(specifications); });
    }
    cache_->rotate(specifications);
    write_by(specifications);
  }

  void reframe() {
    const std::vector<rotary_specification> specifications = random_specifications();
    if (!every_key(true)) {
      return require_refused([&] { cache_->reframe(specifications); });
    }
    cache_->reframe(specifications);
    write_by(specifications);
  }

  void write_by(const std::vector<rotary_specification>& specifications) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for_each_key(layers_[i], [&](reference_key& key, auto, auto, auto) { key.specification = specifications[i]; });
    }
  }

  std::mt19937 random_;
  at::ScalarType dtype_;
  cache_extents extents_;
  std::int64_t streams_ = 1;
  std::vector<std::int64_t> padding_;  // slots on the left of each row
  std::vector<tracked_layer> layers_;
  std::optional<cache> cache_;
};

}  // namespace kvtransfer::test
