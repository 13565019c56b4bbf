#pragma once

// Random sequences of operations on caches, each done twice: by the library, and on plain vectors that say for every
// slot which token's key it holds and where that stands. After every operation both must say the same, or the library
// must have refused what the vectors say is to be refused, and changed nothing.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/vector_model.hpp"

namespace kvtransfer::test {

/// One slot of one layer, sequence and head.
struct reference_slot {
  std::shared_ptr<const written_token> key = {};    ///< null: padding
  std::shared_ptr<const written_token> value = {};  ///< another's in a mixture of halves
  std::size_t key_layer = 0, key_head = 0;          ///< from which of the token's
  std::size_t value_layer = 0, value_head = 0;      ///< likewise
  std::int64_t position = 0;                        ///< where the key stands, or is to be rotated to
  bool rotated = true;
  std::int64_t stored_position = 0;  ///< the same of the key as it lies in memory
  bool stored_rotated = true;
  double value_scale = 1;
  bool edited = false;

  [[nodiscard]] bool moves() const {
    return key != nullptr && (position != stored_position || rotated != stored_rotated);
  }
};

/// One layer: `[batch][kv_head][slot]`.
using reference_rows = std::vector<std::vector<std::vector<reference_slot>>>;

/// A cache on plain vectors.
struct reference_cache {
  std::vector<reference_rows> layers;
  bool origin_known = true;

  [[nodiscard]] std::size_t batch() const { return layers.front().size(); }
  [[nodiscard]] std::size_t size(std::size_t layer) const { return layers[layer].front().front().size(); }
  [[nodiscard]] std::size_t shortest() const {
    std::size_t least = size(0);
    for (std::size_t layer = 1; layer < layers.size(); ++layer) {
      least = std::min(least, size(layer));
    }
    return least;
  }

  /// Calls `visit(slot)` for every key.
  template <class Visit>
  void for_each_key(Visit&& visit) {
    for_each_row([&](std::vector<reference_slot>& row, std::size_t, std::size_t, std::size_t) {
      for (reference_slot& slot : row) {
        if (slot.key != nullptr) {
          visit(slot);
        }
      }
    });
  }
  /// Calls `visit(row, layer, sequence, head)`.
  template <class Visit>
  void for_each_row(Visit&& visit) {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      for (std::size_t b = 0; b < batch(); ++b) {
        for (std::size_t head = 0; head < layers[layer][b].size(); ++head) {
          visit(layers[layer][b][head], layer, b, head);
        }
      }
    }
  }
  [[nodiscard]] bool any_key(const std::function<bool(const reference_slot&)>& is) const {
    bool found = false;
    reference_cache copy = *this;  // the loops above are not const, and caches are small
    copy.for_each_key([&](const reference_slot& slot) { found = found || is(slot); });
    return found;
  }
  [[nodiscard]] bool any_key_in(std::size_t layer, const std::function<bool(const reference_slot&)>& is) const {
    return std::ranges::any_of(layers[layer], [&](const auto& heads) {
      return std::ranges::any_of(heads, [&](const auto& row) {
        return std::ranges::any_of(row, [&](const reference_slot& slot) { return slot.key != nullptr && is(slot); });
      });
    });
  }
};

/// What is done, and to what: numbers are taken modulo what there is, so that any sequence means something.
struct operation {
  enum kind : std::uint8_t {
    prefill,
    shift,
    remap,
    unrotate,
    rotate,
    close_gaps,
    materialize,
    crop,
    slice,
    crop_rows,
    gather,
    concat,
    scatter,
    halves,
    edit,
    save_and_load,
    reorder,
    select_heads,
    select_layers,
    read,
    keep_view,
    look_at_view,
    kinds
  };
  kind what = prefill;
  std::array<std::uint32_t, 4> numbers{};
};

/// Takes numbers out of an operation: the first few as they are, more by a generator that they seed.
class number_source {
 public:
  explicit number_source(const std::array<std::uint32_t, 4>& numbers) : seed_(numbers[3]), random_(numbers[3]) {}
  /// A number below `n`; 0 always for a seed of 0, so that a shrunk sequence is a plain one.
  std::size_t below(std::size_t n) { return seed_ == 0 || n == 0 ? 0 : random_() % n; }
  bool one_in(std::size_t n) { return seed_ != 0 && below(n) == 0; }

 private:
  std::uint32_t seed_;
  std::minstd_rand random_;
};

inline std::vector<operation> random_sequence(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<operation> sequence;
  const auto numbers = [&] {
    return std::array<std::uint32_t, 4>{
        static_cast<std::uint32_t>(random() % 3), static_cast<std::uint32_t>(random() % 3),
        static_cast<std::uint32_t>(random() % 64), static_cast<std::uint32_t>(random() % 100'000)};
  };
  for (std::uint32_t i = 0; i < 2; ++i) {
    operation first{operation::prefill, numbers()};
    first.numbers[0] = i;
    sequence.push_back(first);
  }
  const auto add = [&](operation::kind what, std::uint32_t from) {
    operation next{what, numbers()};
    next.numbers[0] = from;
    sequence.push_back(next);
  };
  for (std::uint32_t count = 6 + random() % 10; count > 0; --count) {
    const std::uint32_t from = random() % 3;
    switch (random() % 12) {
      case 0:  // a cache moved behind another, which alone makes most pairs fit
        add(operation::shift, from);
        sequence.back().numbers[2] = 60;
        add(random() % 2 == 0 ? operation::concat : operation::scatter, random() % 3);
        sequence.back().numbers[1] = from;
        break;
      case 1:  // a view that outlives what may be a move
        add(operation::keep_view, from);
        add(static_cast<operation::kind>(random() % operation::kinds), random() % 3);
        add(operation::materialize, from);
        add(operation::look_at_view, 0);
        break;
      case 2:
        add(operation::read, from);
        break;
      default:
        add(static_cast<operation::kind>(random() % operation::kinds), from);
    }
  }
  return sequence;
}

/// The shortest and plainest sequence found that still fails: parts are left out, then numbers made smaller, as long as
/// either helps.
inline std::vector<operation> shrunk(std::vector<operation> failing,
                                     const std::function<bool(const std::vector<operation>&)>& fails) {
  for (bool helped = true; helped;) {
    helped = false;
    for (std::size_t count = failing.size(); count > 0; --count) {
      for (std::size_t begin = 0; begin + count <= failing.size();) {
        std::vector<operation> shorter = failing;
        const auto from = shorter.begin() + static_cast<std::ptrdiff_t>(begin);
        shorter.erase(from, from + static_cast<std::ptrdiff_t>(count));
        if (fails(shorter)) {
          failing = std::move(shorter);
          helped = true;
        } else {
          ++begin;
        }
      }
    }
    for (std::size_t i = 0; i < failing.size() * 4; ++i) {
      const std::uint32_t number = failing[i / 4].numbers[i % 4];
      for (const std::uint32_t smaller : {0U, 1U, number / 2}) {
        std::vector<operation> plainer = failing;
        plainer[i / 4].numbers[i % 4] = smaller;
        if (smaller < number && fails(plainer)) {
          failing = std::move(plainer);
          helped = true;
          break;
        }
      }
    }
  }
  return failing;
}

/// Whether `act` was refused by one of the library's errors; anything else that is thrown goes on.
struct attempt_outcome {
  bool refused = false;
  std::string message;
};

template <class Act>
attempt_outcome attempt(Act&& act) {
  try {
    act();
    return {};
  } catch (const error& refusal) {
    return {true, refusal.what()};
  }
}

}  // namespace kvtransfer::test
