#pragma once

#include <cstdint>
#include <iterator>
#include <random>

namespace kvtransfer::corpus {

/// One seed out of several numbers, so that neighbouring rows and steps get unrelated streams.
/// Source: the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
constexpr std::uint64_t mixed_seed(std::uint64_t seed, std::uint64_t first, std::uint64_t second = 0) {
  std::uint64_t state = seed;
  for (const std::uint64_t part : {first, second}) {
    state += 0x9e3779b97f4a7c15ULL * (part + 1);
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;
    state = (state ^ (state >> 27)) * 0x94d049bb133111ebULL;
    state ^= state >> 31;
  }
  return state;
}

/// A stream of choices that depends on its seed alone.
///
/// The distributions of the standard library may differ from one implementation to the next; the engine may not. Every
/// draw here is integer arithmetic on the engine's output, so a corpus is the same text on every machine.
class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}

  /// Uniform over [0, bound); the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

  /// Uniform over [low, high], both ends included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }

  /// True in `percent` of 100 throws.
  bool chance(std::uint64_t percent) { return below(100) < percent; }

  /// One element of a non-empty range, each equally likely.
  template <class Range>
  const auto& pick(const Range& range) {
    return *std::next(std::begin(range), static_cast<std::ptrdiff_t>(below(std::size(range))));
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace kvtransfer::corpus
