#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/pairing.hpp"

namespace kvtransfer {

/// How the keys of one layer were rotated, completely and by value. A length-dependent type has one for each length.
///
/// A key at position p holds s·R(p·f)·k on its rotary window: every pair i rotated by p·f[i] radians, then scaled by s.
struct rotary_specification {
  std::string rope_type = "default";  ///< as a config names it; told in messages and compared, nothing else
  /// f `[rotary_dim/2]`, radians per token, the model's own bits; below zero where a model rotates backwards; empty: no
  /// RoPE.
  std::vector<float> inv_freq = {};
  double attention_scaling = 1.0;                     ///< s, written into a key once
  rope::pairing pairing = rope::pairing::half_split;  ///< which elements of the window make a pair
  std::int64_t window_offset = 0;                     ///< first rotated element of a head (MLA: 512)
  std::vector<std::uint8_t> stream_of = {};  ///< M-RoPE: the position stream that frequency i reads; empty: stream 0
  bool normed_after_rotation = false;        ///< keys are w·norm(R·k) (HunYuan): a move needs the weight w
  /// Tokens in a text at whose length these frequencies are in force; 0 where they are at every length, or where nobody
  /// knows. Several lengths may have the same frequencies, so it is not compared.
  std::int64_t length = 0;

  /// Elements of a head that rotate: two for each frequency.
  [[nodiscard]] std::int64_t rotary_dim() const { return 2 * static_cast<std::int64_t>(inv_freq.size()); }
  /// False for a layer without RoPE, whose keys no move changes.
  [[nodiscard]] bool rotates() const { return !inv_freq.empty(); }
  /// How many position streams the frequencies read.
  [[nodiscard]] std::int64_t streams() const {
    return stream_of.empty() ? 1 : std::int64_t{1} + *std::max_element(stream_of.begin(), stream_of.end());
  }

  /// Whether a key that one of them rotated reads as one that the other did, whatever both are called.
  [[nodiscard]] bool rotates_as(const rotary_specification& other) const {
    return inv_freq == other.inv_freq && attention_scaling == other.attention_scaling && pairing == other.pairing &&
           window_offset == other.window_offset && stream_of == other.stream_of &&
           normed_after_rotation == other.normed_after_rotation;
  }
  friend bool operator==(const rotary_specification& a, const rotary_specification& b) {
    return a.rope_type == b.rope_type && a.rotates_as(b);
  }
};

/// A specification as errors show it: `yarn, rotary_dim 64 at 0, half_split, scaling 1.07`.
inline std::string describe(const rotary_specification& specification) {
  return fmt::format("{}, rotary_dim {} at {}, {}, scaling {}", specification.rope_type, specification.rotary_dim(),
                     specification.window_offset, rope::to_string(specification.pairing),
                     specification.attention_scaling);
}

/// The values of `shown` in which it differs from `other`, as errors show them:
/// `yarn: inv_freq[8] 0.0115 (the first of 20 that differ), attention_scaling 1.07`.
inline std::string describe_difference(const rotary_specification& shown, const rotary_specification& other) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view name, const auto& mine, const auto& theirs) {
    if (mine != theirs) {
      parts.push_back(fmt::format("{} {}", name, mine));
    }
  };
  if (shown.inv_freq.size() == other.inv_freq.size()) {
    std::size_t first = shown.inv_freq.size();
    std::size_t count = 0;
    for (std::size_t i = 0; i < shown.inv_freq.size(); ++i) {
      if (shown.inv_freq[i] != other.inv_freq[i]) {
        first = std::min(first, i);
        ++count;
      }
    }
    if (count > 0) {
      parts.push_back(fmt::format("inv_freq[{}] {}{}", first, shown.inv_freq[first],
                                  count > 1 ? fmt::format(" (the first of {} that differ)", count) : ""));
    }
  }
  add("rotary_dim", shown.rotary_dim(), other.rotary_dim());
  add("attention_scaling", shown.attention_scaling, other.attention_scaling);
  add("pairing", rope::to_string(shown.pairing), rope::to_string(other.pairing));
  add("window_offset", shown.window_offset, other.window_offset);
  if (shown.stream_of != other.stream_of) {
    parts.push_back(fmt::format("stream_of [{}]", fmt::join(shown.stream_of, ", ")));
  }
  add("normed_after_rotation", shown.normed_after_rotation, other.normed_after_rotation);
  return fmt::format("{}: {}", shown.rope_type, fmt::join(parts, ", "));
}

namespace rope {

/// @throws value_error on a frequency or scaling that is not finite, shape_error on a stream list of another length
inline void validate(const rotary_specification& specification, std::string_view where) {
  for (const float frequency : specification.inv_freq) {
    require<value_error>(std::isfinite(frequency), where, "inv_freq", "finite", fmt::format("{}", frequency));
  }
  const double scaling = specification.attention_scaling;
  require<value_error>(std::isfinite(scaling) && scaling > 0, where, "attention_scaling", "finite, positive",
                       fmt::format("{}", scaling));
  require<value_error>(specification.window_offset >= 0, where, "window_offset", "not negative",
                       fmt::format("{}", specification.window_offset));
  require<shape_error>(
      specification.stream_of.empty() || specification.stream_of.size() == specification.inv_freq.size(), where,
      "stream_of", formatted("{} entries, one per frequency", specification.inv_freq.size()),
      formatted("{}", specification.stream_of.size()));
}

}  // namespace rope
}  // namespace kvtransfer
