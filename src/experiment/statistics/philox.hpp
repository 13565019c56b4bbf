#pragma once

#include <array>
#include <cstdint>

namespace kvtransfer {

/// Philox 4x32-10: 128 random bits that depend on key and counter alone, so a draw is the same whatever was drawn
/// before it, in whatever order.
/// @param key      the seed
/// @param sequence upper half of the counter: which of many independent draws
/// @param offset   lower half of the counter: which 128 bits of that draw
/// Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; same bits as
/// at::philox_engine(key, sequence, offset)
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t sequence,
                                                            std::uint64_t offset = 0) {
  const auto low = [](std::uint64_t wide) { return static_cast<std::uint32_t>(wide); };
  const auto high = [](std::uint64_t wide) { return static_cast<std::uint32_t>(wide >> 32); };
  std::array<std::uint32_t, 4> state{low(offset), high(offset), low(sequence), high(sequence)};
  std::uint32_t key_low = low(key);
  std::uint32_t key_high = high(key);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = std::uint64_t{0xD2511F53} * state[0];
    const std::uint64_t second = std::uint64_t{0xCD9E8D57} * state[2];
    state = {high(second) ^ state[1] ^ key_low, low(second), high(first) ^ state[3] ^ key_high, low(first)};
    key_low += 0x9E3779B9;
    key_high += 0xBB67AE85;
  }
  return state;
}

/// A number in [0, 1) with 53 random bits, from `philox(key, sequence, offset)`.
[[nodiscard]] constexpr double philox_uniform(std::uint64_t key, std::uint64_t sequence, std::uint64_t offset = 0) {
  const std::array<std::uint32_t, 4> bits = philox(key, sequence, offset);
  return static_cast<double>(((std::uint64_t{bits[0]} << 32) | bits[1]) >> 11) * 0x1p-53;
}

}  // namespace kvtransfer
