#pragma once

// Random sequences of operations on three caches, as numbers that mean something whatever there is.

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace kvtransfer::test {

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

}  // namespace kvtransfer::test
