#pragma once

// Operations that make one cache of two.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/halves.hpp"
#include "kvtransfer/cache/scatter.hpp"
#include "model/random_operations/expected_change.hpp"
#include "model/random_operations/operation.hpp"

namespace kvtransfer::test {

/// What can be made of two caches, each as it must come out.
class joins {
 public:
  static constexpr std::size_t most_slots = 40;  ///< of what is made: more would only take longer

  joins(const operation& asked, const held_cache& first, const held_cache& second, number_source& more)
      : asked_(&asked), first_(&first), second_(&second), more_(&more) {}

  [[nodiscard]] expected_change<cache> expected() const {
    if (a().size(0) + b().size(0) > most_slots) {
      return {};
    }
    switch (asked_->what) {
      case operation::concat:
        return one_behind_the_other();
      case operation::scatter:
        return slots_replaced();
      default:
        return keys_and_values();
    }
  }

 private:
  [[nodiscard]] const reference_cache& a() const { return first_->expected; }
  [[nodiscard]] const reference_cache& b() const { return second_->expected; }
  [[nodiscard]] bool of_one_kind() const { return a().batch() == b().batch() && a().origin_known == b().origin_known; }
  [[nodiscard]] std::string names() const {
    return fmt::format("caches {} and {} as cache {}", asked_->numbers[0] % 3, asked_->numbers[1] % 3,
                       asked_->numbers[2] % 3);
  }

  [[nodiscard]] expected_change<cache> one_behind_the_other() const {
    expected_change<cache> change{"concat " + names(), !of_one_kind(), a()};
    for (std::size_t layer = 0; !change.refused && layer < a().layers.size(); ++layer) {
      change.refused = !written_alike(a(), b(), layer) || overlaps(a().layers[layer], b().layers[layer], {});
    }
    if (!change.refused) {
      change.result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
        const slot_row& tail = b().layers[layer][batch][head];
        row.insert(row.end(), tail.begin(), tail.end());
      });
    }
    change.act = [&one = first_->library, &other = second_->library] { return concat(one.view(), other.view()); };
    return change;
  }

  [[nodiscard]] expected_change<cache> slots_replaced() const {
    std::vector<std::int64_t> slots;
    for (std::size_t i = 0; i < b().size(0); ++i) {
      const bool nowhere = more_->one_in(6) || a().size(0) == 0;
      slots.push_back(nowhere ? -1 : static_cast<std::int64_t>((i + asked_->numbers[2]) % a().size(0)));
    }
    expected_change<cache> change{fmt::format("scatter {} at slots {}", names(), fmt::join(slots, ", ")),
                                  !of_one_kind() || !can_replace(slots), a()};
    if (!change.refused) {
      change.result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
        for (std::size_t i = 0; i < slots.size(); ++i) {
          if (slots[i] >= 0) {
            row[static_cast<std::size_t>(slots[i])] = b().layers[layer][batch][head][i];
            row[static_cast<std::size_t>(slots[i])].edited = true;
          }
        }
      });
    }
    change.act = [&one = first_->library, &other = second_->library, slots] {
      return scatter(one.view(), slots, other.view());
    };
    return change;
  }

  /// Whether the second cache's slots can stand in these slots of the first, of one kind with it.
  [[nodiscard]] bool can_replace(const std::vector<std::int64_t>& slots) const {
    std::set<std::int64_t> taken;
    for (const std::int64_t slot : slots) {
      if (slot >= 0 && !taken.insert(slot).second) {
        return false;
      }
    }
    for (std::size_t layer = 0; layer < a().layers.size(); ++layer) {
      const auto beyond = [&](std::int64_t slot) { return slot >= static_cast<std::int64_t>(a().size(layer)); };
      if (b().size(layer) != slots.size() || !written_alike(a(), b(), layer) || std::ranges::any_of(taken, beyond) ||
          overlaps(a().layers[layer], going(slots, layer), taken)) {
        return false;
      }
    }
    return true;
  }

  /// What of a layer of the second cache goes into these slots.
  [[nodiscard]] reference_rows going(const std::vector<std::int64_t>& slots, std::size_t layer) const {
    reference_rows rows = b().layers[layer];
    for (auto& heads : rows) {
      for (slot_row& row : heads) {
        for (std::size_t i = 0; i < row.size() && i < slots.size(); ++i) {
          row[i] = slots[i] < 0 ? reference_slot{} : row[i];
        }
      }
    }
    return rows;
  }

  [[nodiscard]] expected_change<cache> keys_and_values() const {
    expected_change<cache> change{"keys and values of " + names(), !of_one_kind(), a()};
    change.result.for_each_row([&](slot_row& row, std::size_t layer, std::size_t batch, std::size_t head) {
      change.refused = change.refused || row.size() != b().layers[layer][batch][head].size();
      for (std::size_t i = 0; !change.refused && i < row.size(); ++i) {
        const reference_slot& other = b().layers[layer][batch][head][i];
        change.refused = (row[i].key == nullptr) != (other.key == nullptr);
        row[i].value = other.value;
        row[i].value_layer = other.value_layer;
        row[i].value_head = other.value_head;
        row[i].value_scale = other.value_scale;
        row[i].edited = row[i].edited || other.edited || first_ != second_;
      }
    });
    change.act = [&one = first_->library, &other = second_->library] {
      return cache(keys_with_values_of(one.view(), other.view()));
    };
    return change;
  }

  const operation* asked_;
  const held_cache* first_;
  const held_cache* second_;
  number_source* more_;
};

}  // namespace kvtransfer::test
