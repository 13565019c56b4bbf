#pragma once

// Operations that make one cache of another: slots, sequences, heads and layers of it, a changed one, one out of a
// file.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/crop.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/reorder.hpp"
#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/random_operations/expected_change.hpp"
#include "model/random_operations/operation.hpp"
#include "support/temporary_folder.hpp"

namespace kvtransfer::test {

/// What can be chosen of one cache as another, each as it must come out.
class choices {
 public:
  choices(const causal_lm& model, const operation& asked, const held_cache& held, number_source& more)
      : model_(&model), asked_(&asked), held_(&held), more_(&more) {}

  [[nodiscard]] expected_change<cache> expected() const {
    switch (asked_->what) {
      case operation::slice:
        return slice();
      case operation::crop_rows:
        return crop_rows();
      case operation::gather:
        return gather_slots();
      case operation::edit:
        return edit();
      case operation::save_and_load:
        return save_and_load();
      case operation::reorder:
        return reorder_rows();
      case operation::select_heads:
        return swap_heads();
      default:
        return swap_layers();
    }
  }

 private:
  [[nodiscard]] const reference_cache& source() const { return held_->expected; }
  [[nodiscard]] const cache& library() const { return held_->library; }
  [[nodiscard]] std::string from_to() const {
    return fmt::format("of cache {} as cache {}", asked_->numbers[0] % 3, asked_->numbers[1] % 3);
  }

  [[nodiscard]] expected_change<cache> slice() const {
    const std::size_t begin = asked_->numbers[2] % (source().size(0) + 1);
    const std::size_t end = begin + more_->below(source().size(0) - begin + 2);
    const bool refused = end > source().shortest();
    return {fmt::format("slots [{}, {}) {}", begin, end, from_to()), refused,
            refused ? source() : sliced(source(), begin, end), [&kv = library(), begin, end] {
              return cache(kv.view().slice(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)));
            }};
  }

  [[nodiscard]] expected_change<cache> crop_rows() const {
    std::vector<std::int64_t> lengths;
    for (std::size_t b = 0; b < source().batch(); ++b) {
      lengths.push_back(static_cast<std::int64_t>((asked_->numbers[2] + more_->below(4)) % (source().size(0) + 1)));
    }
    reference_cache kept = source();
    std::size_t end = 0;
    kept.for_each_row([&](slot_row& row, std::size_t, std::size_t b, std::size_t) {
      std::int64_t left = lengths[b];
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = row[i].key != nullptr && left-- > 0 ? row[i] : reference_slot{};
        end = row[i].key != nullptr ? std::max(end, i + 1) : end;
      }
    });
    const bool refused = end > source().shortest();
    return {fmt::format("the first {} keys of each row {}", lengths[0], from_to()), refused,
            refused ? source() : sliced(kept, 0, end),
            [&kv = library(), lengths] { return cache(crop(kv.view(), lengths)); }};
  }

  [[nodiscard]] expected_change<cache> edit() const {
    expected_change<cache> change{"edit " + from_to(), false, source()};
    settle(change.result);
    change.result.for_each_key([](reference_slot& slot) {
      slot.value_scale *= 0.5;
      slot.edited = true;
    });
    change.act = [&kv = library()] {
      const cache_view<> view = kv.view();
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      for (std::int64_t layer = 0; layer < view.layers(); ++layer) {
        keys.push_back(view.layer(layer).keys().clone());
        values.push_back(view.layer(layer).values() * 0.5);
      }
      return edited(view, keys, values, {edit_kind::other, cache_half::values, {}, {}, {}, "half of each value"});
    };
    return change;
  }

  [[nodiscard]] expected_change<cache> save_and_load() const {
    const bool whoever = asked_->numbers[2] % 2 == 1;
    expected_change<cache> change{fmt::format("{} saved and loaded{}", from_to(), whoever ? " whoever wrote it" : ""),
                                  !source().origin_known && !whoever, source()};
    settle(change.result);
    change.act = [&kv = library(), whoever, model = model_] {
      const temporary_folder folder;
      save_cache(folder.path() / "cache", kv);
      const cache_file file = cache_file::open(folder.path() / "cache");
      file.verify();
      return whoever ? file.load(any_model) : file.load(model->identity);
    };
    return change;
  }

  [[nodiscard]] expected_change<cache> reorder_rows() const {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i <= asked_->numbers[2] % 2; ++i) {
      rows.push_back(static_cast<std::int64_t>(more_->below(source().batch())));
    }
    expected_change<cache> change{fmt::format("rows {} {}", fmt::join(rows, ", "), from_to()), false, source()};
    for (std::size_t layer = 0; layer < change.result.layers.size(); ++layer) {
      change.result.layers[layer].clear();
      for (const std::int64_t row : rows) {
        change.result.layers[layer].push_back(source().layers[layer][static_cast<std::size_t>(row)]);
      }
    }
    change.act = [&kv = library(), rows] { return reorder(kv.view(), rows); };
    return change;
  }

  [[nodiscard]] expected_change<cache> swap_heads() const {
    expected_change<cache> change{"heads 1, 0 " + from_to(), false, source()};
    for (reference_rows& layer : change.result.layers) {
      for (auto& heads : layer) {
        std::swap(heads[0], heads[1]);
      }
    }
    change.result.origin_known = false;
    change.act = [&kv = library()] { return select_heads(kv.view(), {1, 0}); };
    return change;
  }

  [[nodiscard]] expected_change<cache> swap_layers() const {
    expected_change<cache> change{"layers 1, 0 " + from_to(), false, source()};
    std::swap(change.result.layers[0], change.result.layers[1]);
    change.result.origin_known = false;
    change.act = [&kv = library()] { return cache(select_layers(kv.view(), {1, 0})); };
    return change;
  }

  /// Slots of each layer, sequence and head as `gather` is to choose them.
  struct slot_numbers {
    bool by_layer;
    std::size_t rows, heads;
    std::vector<std::vector<std::int64_t>> of_layer;  ///< `[layer][row * heads * n]`
    std::vector<std::size_t> counts;                  ///< n of each layer

    [[nodiscard]] std::int64_t at(std::size_t layer, std::size_t b, std::size_t head, std::size_t i) const {
      return of_layer[layer][((rows > 1 ? b : 0) * heads + (heads > 1 ? head : 0)) * counts[layer] + i];
    }
    [[nodiscard]] slot_choice choice(std::size_t layer) const {
      const at::Tensor slots = at::empty(
          {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(heads), static_cast<std::int64_t>(counts[layer])},
          at::kLong);
      std::ranges::copy(of_layer[layer], slots.mutable_data_ptr<std::int64_t>());
      return {slots};
    }
  };

  [[nodiscard]] slot_numbers random_slots() const {
    const std::size_t layers = source().layers.size();
    const bool by_layer = more_->one_in(4);
    const std::size_t rows = more_->one_in(2) ? source().batch() : 1;
    const std::size_t heads = more_->one_in(3) ? 2 : 1;
    slot_numbers chosen{by_layer, rows, heads, std::vector<std::vector<std::int64_t>>(layers),
                        std::vector<std::size_t>(layers)};
    for (std::size_t layer = 0; layer < layers; ++layer) {
      if (layer > 0 && !by_layer) {
        chosen.of_layer[layer] = chosen.of_layer[0];
        chosen.counts[layer] = chosen.counts[0];
        continue;
      }
      const std::size_t size = source().size(by_layer ? layer : 0);
      chosen.counts[layer] = (asked_->numbers[2] + (by_layer ? more_->below(3) : 0)) % (size + 1);
      for (std::size_t i = 0; i < rows * heads; ++i) {
        const std::vector<std::int64_t> slots = some_of(size, chosen.counts[layer]);
        chosen.of_layer[layer].insert(chosen.of_layer[layer].end(), slots.begin(), slots.end());
      }
    }
    return chosen;
  }

  /// `count` of `size` slots in order, now and then padding or one twice among them.
  [[nodiscard]] std::vector<std::int64_t> some_of(std::size_t size, std::size_t count) const {
    std::vector<std::int64_t> slots;
    for (std::size_t slot = 0; slot < size; ++slot) {
      slots.push_back(static_cast<std::int64_t>(slot));
    }
    while (slots.size() > count) {
      slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(more_->below(slots.size())));
    }
    if (!slots.empty() && more_->one_in(8)) {
      slots.front() = more_->one_in(2) ? -1 : slots.back();
    }
    return slots;
  }

  [[nodiscard]] expected_change<cache> gather_slots() const {
    const slot_numbers chosen = random_slots();
    expected_change<cache> change{
        fmt::format("{} slots{}{}{} {}", chosen.counts[0], chosen.by_layer ? " by layer" : "",
                    chosen.rows > 1 ? " by row" : "", chosen.heads > 1 ? " by head" : "", from_to()),
        false, source()};
    change.result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t b, std::size_t head) {
      std::set<std::int64_t> taken;
      slot_row picked;
      for (std::size_t i = 0; i < chosen.counts[layer]; ++i) {
        const std::int64_t slot = chosen.at(layer, b, head, i);
        change.refused = change.refused || slot >= static_cast<std::int64_t>(row.size()) ||
                         (slot >= 0 && !taken.insert(slot).second);
        picked.push_back(slot < 0 || change.refused ? reference_slot{} : row[static_cast<std::size_t>(slot)]);
      }
      row = picked;
    });
    change.act = [&kv = library(), chosen] {
      return chosen.by_layer ? gather(kv.view(), std::vector<slot_choice>{chosen.choice(0), chosen.choice(1)})
                             : gather(kv.view(), chosen.choice(0));
    };
    return change;
  }

  const causal_lm* model_;
  const operation* asked_;
  const held_cache* held_;
  number_source* more_;
};

}  // namespace kvtransfer::test
