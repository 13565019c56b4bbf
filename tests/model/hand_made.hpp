#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::test {

/// What policies mean, spelt out without any of them: every key and value by itself, in double, the key without its
/// rotation, so that a move is another number. One sequence, rotary pairs (i, i + head_dim / 2), one rotary type.
class hand_made {
 public:
  struct entry {
    std::int64_t position = 0;
    at::Tensor key;    // [head_dim], double, not rotated
    at::Tensor value;  // [head_dim], double
    bool there = true;
  };
  using head = std::vector<entry>;  // by slot
  using test_of_slot = std::function<bool(std::int64_t layer, std::int64_t head, std::int64_t slot)>;

  /// A cache whose tokens stand at positions 0, 1, …
  hand_made(const causal_lm& model, const cache& source) : model_(&model), frame_(source.view().frame()) {
    for (std::int64_t i = 0; i < source.layers(); ++i) {
      const at::Tensor keys = source.view().layer(i).keys().to(at::kDouble);
      const at::Tensor values = source.view().layer(i).values().to(at::kDouble);
      auto& layer = layers_.emplace_back();
      for (std::int64_t h = 0; h < keys.size(1); ++h) {
        head& slots = layer.emplace_back();
        for (std::int64_t slot = 0; slot < keys.size(2); ++slot) {
          slots.push_back({slot, rotated(keys[0][h][slot], i, -slot), values[0][h][slot], true});
        }
      }
    }
    reach_ = source.length() - 1;
  }

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(layers_[0][0].size()); }
  /// The last position that the text has to come after.
  [[nodiscard]] std::int64_t reach() const { return reach_; }

  /// Calls `change(entry, layer, head, slot)` for all.
  template <class Change>
  void for_each(Change&& change) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for (std::size_t h = 0; h < layers_[i].size(); ++h) {
        for (std::size_t slot = 0; slot < layers_[i][h].size(); ++slot) {
          change(layers_[i][h][slot], static_cast<std::int64_t>(i), static_cast<std::int64_t>(h),
                 static_cast<std::int64_t>(slot));
        }
      }
    }
  }

  void keep(const test_of_slot& kept) {
    for_each([&](entry& one, std::int64_t layer, std::int64_t h, std::int64_t slot) {
      one.there = one.there && kept(layer, h, slot);
    });
  }

  /// Takes keys, values or both of `other`, slot by slot, where `taken` says so; of zeros where it is null.
  void take(const hand_made* other, bool keys, bool values, const test_of_slot& taken) {
    for_each([&](entry& one, std::int64_t layer, std::int64_t h, std::int64_t slot) {
      if (!taken(layer, h, slot)) {
        return;
      }
      const entry from = other == nullptr ? entry{0, at::zeros_like(one.key), at::zeros_like(one.value), true}
                                          : other->at(layer, h, slot);
      one.key = keys ? from.key : one.key;
      one.value = values ? from.value : one.value;
    });
  }

  [[nodiscard]] bool has_any() const {
    bool any = false;
    const_cast<hand_made*>(this)->for_each([&](entry& one, auto...) { any = any || one.there; });
    return any;
  }

  void shift(std::int64_t delta) {
    for_each([&](entry& one, auto...) { one.position += delta; });
  }
  void stand_at_zero() {
    for_each([&](entry& one, auto...) { one.position = 0; });
  }
  void close() {
    reach_ = -1;
    for (auto& layer : layers_) {
      for (head& slots : layer) {
        std::int64_t next = 0;
        for (entry& one : slots) {
          one.position = one.there ? next++ : 0;
        }
        reach_ = std::max(reach_, next - 1);
      }
    }
  }

  [[nodiscard]] const entry& at(std::int64_t layer, std::int64_t h, std::int64_t slot) const {
    return layers_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(h)][static_cast<std::size_t>(slot)];
  }

  /// The keys that are there in front of `text`, which begins at `first`. What is not there is hidden by the plan.
  [[nodiscard]] plan before(std::vector<std::int64_t> text, std::int64_t first) const {
    plan input = plan_of({std::move(text)});
    input.positions = position_map::consecutive(first, input.size());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      std::vector<position_row> positions;
      const at::Tensor shown = at::zeros({1, static_cast<std::int64_t>(layers_[i].size()), size()}, at::kBool);
      for (std::size_t h = 0; h < layers_[i].size(); ++h) {
        std::vector<at::Tensor> head_keys;
        std::vector<at::Tensor> head_values;
        std::vector<std::int64_t> head_positions;
        for (const entry& one : layers_[i][h]) {
          shown[0][static_cast<std::int64_t>(h)][static_cast<std::int64_t>(head_keys.size())].fill_(one.there);
          head_keys.push_back(rotated(one.key, static_cast<std::int64_t>(i), one.position));
          head_values.push_back(one.value);
          head_positions.push_back(one.position);
        }
        keys.push_back(at::stack(head_keys));
        values.push_back(at::stack(head_values));
        positions.push_back(position_row::listed(head_positions));
      }
      layer_frame layer = frame_.layer(static_cast<std::int64_t>(i));
      const auto count = static_cast<std::int64_t>(positions.size());
      layer.positions = position_map(1, 1, count, std::move(positions));
      cache_frame frame({std::make_shared<const layer_frame>(std::move(layer))});
      frame.set_origin(frame_.origin());
      const auto as_one = [&](const std::vector<at::Tensor>& heads) {
        return std::vector{at::stack(heads).unsqueeze(0).to(model_->dtype())};
      };
      input.layers.push_back({segment(cache_view<>(as_one(keys), as_one(values), frame, as_written), 0, shown)});
    }
    return input;
  }

 private:
  [[nodiscard]] at::Tensor rotated(const at::Tensor& key, std::int64_t layer, std::int64_t position) const {
    const std::vector<float> frequencies =
        rotary_specifications(model_->config)[static_cast<std::size_t>(layer)].inv_freq;
    const auto pairs = static_cast<std::int64_t>(frequencies.size());
    const at::Tensor angle = at::zeros({pairs}, at::kDouble);
    for (std::int64_t i = 0; i < pairs; ++i) {
      angle[i].fill_(static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)]);
    }
    const at::Tensor a = key.slice(0, 0, pairs);
    const at::Tensor b = key.slice(0, pairs);
    return at::cat({a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()}, 0);
  }

  const causal_lm* model_;
  cache_frame frame_;
  std::vector<std::vector<head>> layers_;
  std::int64_t reach_ = -1;
};

}  // namespace kvtransfer::test
