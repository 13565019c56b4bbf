#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
  [[nodiscard]] std::int64_t streams() const;

  /// Whether a key that one of them rotated reads as one that the other did, whatever both are called.
  [[nodiscard]] bool rotates_as(const rotary_specification& other) const;
  friend bool operator==(const rotary_specification& a, const rotary_specification& b) {
    return a.rope_type == b.rope_type && a.rotates_as(b);
  }
};

/// A specification as errors show it: `yarn, rotary_dim 64 at 0, half_split, scaling 1.07`.
std::string describe(const rotary_specification& specification);

/// The values of `shown` in which it differs from `other`, as errors show them:
/// `yarn: inv_freq[8] 0.0115 (the first of 20 that differ), attention_scaling 1.07`.
std::string describe_difference(const rotary_specification& shown, const rotary_specification& other);

namespace rope {

/// @throws value_error on a frequency or scaling that is not finite, shape_error on a stream list of another length
void validate(const rotary_specification& specification, std::string_view where);

}  // namespace rope
}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/specification.ipp"  // IWYU pragma: export
#endif
