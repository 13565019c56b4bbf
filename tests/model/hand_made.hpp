#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
      std::vector<std::int64_t> back;
      for (std::int64_t slot = 0; slot < keys.size(2); ++slot) {
        back.push_back(-slot);
      }
      for (std::int64_t h = 0; h < keys.size(1); ++h) {
        head& slots = layer.emplace_back();
        const at::Tensor plain = rotated(keys[0][h], i, back);
        for (std::int64_t slot = 0; slot < keys.size(2); ++slot) {
          slots.push_back({slot, plain[slot], values[0][h][slot], true});
        }
      }
    }
    for (std::int64_t slot = 0; slot < source.length(); ++slot) {
      standing_.push_back(slot);
    }
  }

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(layers_[0][0].size()); }
  /// The last position that the text has to come after.
  [[nodiscard]] std::int64_t reach() const {
    std::int64_t last = -1;
    for (const std::optional<std::int64_t>& at : standing_) {
      last = std::max(last, at.value_or(-1));
    }
    return last;
  }

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
    std::int64_t most = -1;
    for (auto& layer : layers_) {
      for (head& slots : layer) {
        std::int64_t next = 0;
        std::vector<std::optional<std::int64_t>> standing;
        for (entry& one : slots) {
          one.position = one.there ? next++ : 0;
          standing.push_back(one.there ? std::optional(one.position) : std::nullopt);
        }
        if (next > most) {  // the text comes after the head that has most
          most = next;
          standing_ = std::move(standing);
        }
      }
    }
  }

  /// `own` times each number plus `weight` times that of `other`, or of zeros where it is null.
  void blend(const hand_made* other, double own, double weight, bool keys, bool values) {
    for_each([&](entry& one, std::int64_t layer, std::int64_t h, std::int64_t slot) {
      const auto mixed = [&](const at::Tensor& mine, auto part) {
        const at::Tensor scaled = mine * own;
        return other == nullptr ? scaled : scaled + part(other->at(layer, h, slot)) * weight;
      };
      one.key = keys ? mixed(one.key, [](const entry& from) { return from.key; }) : one.key;
      one.value = values ? mixed(one.value, [](const entry& from) { return from.value; }) : one.value;
    });
  }

  /// `other` in the place of the slots [begin, end): it begins where they began, and what is behind them moves up to
  /// it.
  void splice(const hand_made& other, std::int64_t begin, std::int64_t end) {
    const std::int64_t first = standing(begin);
    const std::int64_t moved = first + other.reach() + 1 - standing(end);
    const auto spliced = [&](auto& mine, const auto& theirs, auto&& shifted) {
      for (std::size_t slot = static_cast<std::size_t>(end); slot < mine.size(); ++slot) {
        mine[slot] = shifted(mine[slot], moved);
      }
      mine.erase(mine.begin() + begin, mine.begin() + end);
      for (std::size_t slot = 0; slot < theirs.size(); ++slot) {
        mine.insert(mine.begin() + begin + static_cast<std::int64_t>(slot), shifted(theirs[slot], first));
      }
    };
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for (std::size_t h = 0; h < layers_[i].size(); ++h) {
        spliced(layers_[i][h], other.layers_[i][h], [](entry one, std::int64_t by) {
          one.position += by;
          return one;
        });
      }
    }
    spliced(standing_, other.standing_,
            [](std::optional<std::int64_t> at, std::int64_t by) { return at ? std::optional(*at + by) : at; });
  }

  /// The slots of both in turn, each a position behind the other.
  void interleave(const hand_made& other) {
    const std::int64_t first = standing(0);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      for (std::size_t h = 0; h < layers_[i].size(); ++h) {
        head both;
        for (std::size_t slot = 0; slot < layers_[i][h].size(); ++slot) {
          entry mine = layers_[i][h][slot];
          entry theirs = other.layers_[i][h][slot];
          mine.position = 2 * mine.position - first;
          theirs.position = mine.position + 1;
          theirs.there = mine.there;
          both.push_back(std::move(mine));
          both.push_back(std::move(theirs));
        }
        layers_[i][h] = std::move(both);
      }
    }
    std::vector<std::optional<std::int64_t>> both;
    for (const std::optional<std::int64_t>& at : standing_) {
      both.push_back(at ? std::optional(2 * *at - first) : at);
      both.push_back(at ? std::optional(2 * *at - first + 1) : at);
    }
    standing_ = std::move(both);
  }

  [[nodiscard]] const entry& at(std::int64_t layer, std::int64_t h, std::int64_t slot) const {
    return layers_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(h)][static_cast<std::size_t>(slot)];
  }

  /// The keys that are there in front of `text`, which begins at `first`. What is not there is hidden by the plan.
  [[nodiscard]] plan before(std::vector<std::int64_t> text, std::int64_t first) const {
    plan input = plan_of({std::move(text)});
    input.positions = position_map::consecutive(first, input.size());
    std::vector<at::Tensor> all_keys;
    std::vector<at::Tensor> all_values;
    std::vector<cache_frame::shared_layer> frames;
    std::vector<at::Tensor> visible;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      std::vector<position_row> positions;
      std::vector<at::Tensor> shown;
      for (const head& slots : layers_[i]) {
        std::vector<at::Tensor> head_keys;
        std::vector<at::Tensor> head_values;
        std::vector<std::int64_t> head_positions;
        std::vector<std::int64_t> head_shown;
        for (const entry& one : slots) {
          head_keys.push_back(one.key);
          head_values.push_back(one.value);
          head_positions.push_back(one.position);
          head_shown.push_back(one.there ? 1 : 0);
        }
        keys.push_back(rotated(at::stack(head_keys), static_cast<std::int64_t>(i), head_positions));
        values.push_back(at::stack(head_values));
        positions.push_back(position_row::listed(head_positions));
        shown.push_back(at::tensor(head_shown, at::kLong).to(at::kBool));
      }
      layer_frame layer = frame_.layer(static_cast<std::int64_t>(i));
      const auto count = static_cast<std::int64_t>(positions.size());
      layer.positions = position_map(1, 1, count, std::move(positions));
      frames.push_back(std::make_shared<const layer_frame>(std::move(layer)));
      const auto as_one = [&](const std::vector<at::Tensor>& heads) {
        return at::stack(heads).unsqueeze(0).to(model_->dtype());
      };
      all_keys.push_back(as_one(keys));
      all_values.push_back(as_one(values));
      visible.push_back(at::stack(shown).unsqueeze(0));
    }
    cache_frame frame(std::move(frames));
    frame.set_origin(frame_.origin());
    const cache_view<> whole(all_keys, all_values, std::move(frame), as_written);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      input.layers.push_back({segment(whole, static_cast<std::int64_t>(i), visible[i])});
    }
    return input;
  }

 private:
  /// Where a slot stands; where nothing does, the next one that does; behind the last, one past it.
  [[nodiscard]] std::int64_t standing(std::int64_t slot) const {
    for (auto i = static_cast<std::size_t>(slot); i < standing_.size(); ++i) {
      if (standing_[i]) {
        return *standing_[i];
      }
    }
    return reach() + 1;
  }

  /// @param keys `[slots, head_dim]`
  [[nodiscard]] at::Tensor rotated(const at::Tensor& keys, std::int64_t layer,
                                   const std::vector<std::int64_t>& positions) const {
    const std::vector<float> frequencies =
        rotary_specifications(model_->config)[static_cast<std::size_t>(layer)].inv_freq;
    const auto pairs = static_cast<std::int64_t>(frequencies.size());
    const at::Tensor angle = at::tensor(positions, at::kDouble).outer(at::tensor(frequencies, at::kDouble));
    const at::Tensor a = keys.slice(1, 0, pairs);
    const at::Tensor b = keys.slice(1, pairs);
    return at::cat({a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()}, 1);
  }

  const causal_lm* model_;
  cache_frame frame_;
  std::vector<std::vector<head>> layers_;
  std::vector<std::optional<std::int64_t>> standing_;  // of each slot before anything was left out
};

}  // namespace kvtransfer::test
