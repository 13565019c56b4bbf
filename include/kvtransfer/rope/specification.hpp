#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
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

  /// Elements of a head that rotate: two for each frequency.
  std::int64_t rotary_dim() const { return 2 * static_cast<std::int64_t>(inv_freq.size()); }
  /// False for a layer without RoPE, whose keys no move changes.
  bool rotates() const { return !inv_freq.empty(); }
  /// How many position streams the frequencies read.
  std::int64_t streams() const {
    return stream_of.empty() ? 1 : std::int64_t{1} + *std::max_element(stream_of.begin(), stream_of.end());
  }

  friend bool operator==(const rotary_specification&, const rotary_specification&) = default;
};

/// A specification as errors show it: `yarn, rotary_dim 64 at 0, half_split, scaling 1.07`.
inline std::string describe(const rotary_specification& specification) {
  return fmt::format("{}, rotary_dim {} at {}, {}, scaling {}", specification.rope_type, specification.rotary_dim(),
                     specification.window_offset, rope::to_string(specification.pairing),
                     specification.attention_scaling);
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
