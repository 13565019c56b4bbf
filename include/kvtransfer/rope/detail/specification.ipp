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

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::int64_t rotary_specification::streams() const {
  return stream_of.empty() ? 1 : std::int64_t{1} + *std::max_element(stream_of.begin(), stream_of.end());
}

KVTRANSFER_INLINE bool rotary_specification::rotates_as(const rotary_specification& other) const {
  return inv_freq == other.inv_freq && attention_scaling == other.attention_scaling && pairing == other.pairing &&
         window_offset == other.window_offset && stream_of == other.stream_of &&
         normed_after_rotation == other.normed_after_rotation;
}

KVTRANSFER_INLINE std::string describe(const rotary_specification& specification) {
  return fmt::format("{}, rotary_dim {} at {}, {}, scaling {}", specification.rope_type, specification.rotary_dim(),
                     specification.window_offset, rope::to_string(specification.pairing),
                     specification.attention_scaling);
}

KVTRANSFER_INLINE std::string describe_difference(const rotary_specification& shown,
                                                  const rotary_specification& other) {
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

}  // namespace kvtransfer

namespace kvtransfer::rope {

KVTRANSFER_INLINE void validate(const rotary_specification& specification, std::string_view where) {
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

}  // namespace kvtransfer::rope
