#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "experiment/statistics/philox.hpp"

namespace kvtransfer::detail {

/// Draws what a suite's facts are made of. The same key gives the same draws everywhere: integer arithmetic alone.
class invention {
 public:
  explicit invention(std::uint64_t key) : key_(key) {}

  /// Uniform over [0, bound); the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    const std::array<std::uint32_t, 4> bits = philox(key_, draws_++);
    return ((std::uint64_t{bits[0]} << 32U) | bits[1]) % bound;
  }

  /// Uniform over [low, high], both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }

  /// One of a list.
  template <std::size_t Count>
  std::string pick(const std::array<std::string_view, Count>& list) {
    return std::string(list[below(Count)]);
  }

  /// A name that nobody bears, two syllables, never the same twice. @example "Varnok"
  std::string name() {
    static constexpr std::array<std::string_view, 14> openings{"B", "D", "F", "G", "K", "L", "M",
                                                               "N", "P", "R", "S", "T", "V", "Z"};
    static constexpr std::array<std::string_view, 5> vowels{"a", "e", "i", "o", "u"};
    static constexpr std::array<std::string_view, 16> middles{"rn", "ld", "mb", "lk", "rd", "nt", "lm", "rk",
                                                              "nd", "lt", "rv", "mp", "lv", "rt", "nk", "lb"};
    static constexpr std::array<std::string_view, 8> endings{"k", "l", "n", "r", "s", "th", "x", "m"};
    while (true) {
      std::string made =
          fmt::format("{}{}{}{}{}", pick(openings), pick(vowels), pick(middles), pick(vowels), pick(endings));
      if (names_.insert(made).second) {
        return made;
      }
    }
  }

 private:
  std::uint64_t key_;
  std::uint64_t draws_ = 0;
  std::set<std::string> names_;
};

}  // namespace kvtransfer::detail
