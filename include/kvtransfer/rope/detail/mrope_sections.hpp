#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::rope {

/// How M-RoPE deals the frequencies out to the position streams time (0), height (1) and width (2).
enum class mrope_layout : std::uint8_t {
  none,          ///< one stream
  contiguous,    ///< section by section (Qwen2-VL, GLM-4V)
  interleaved,   ///< t, h, w, t, h, w, … until the sections of h and w are used up, then t (Qwen3-VL)
  height_width,  ///< h, w, h, w, … for the first two sections, then t (Ernie 4.5 VL)
};

/// The stream that each frequency reads.
/// @param sections how many frequencies each stream gets; t, h, w, but h, w, t for `height_width`
/// @throws shape_error unless the sections add up to `pairs`; for `interleaved` the rest reads t, and
/// what is too long is cut off
/// Source: transformers, `recomposition_frequencies` of Qwen2-VL, Qwen3-VL and Ernie 4.5 VL
inline std::vector<std::uint8_t> mrope_streams(mrope_layout layout, const std::vector<std::int64_t>& sections,
                                               std::int64_t pairs) {
  if (layout == mrope_layout::none) {
    return {};
  }
  constexpr std::int64_t longest = 65536;  // far more than any head has: a mistake in the file
  const auto is_possible = [](std::int64_t size) { return size >= 0 && size <= longest; };
  const bool positive = std::all_of(sections.begin(), sections.end(), is_possible);
  const std::int64_t sum = positive ? std::accumulate(sections.begin(), sections.end(), std::int64_t{0}) : -1;
  const bool fits = layout == mrope_layout::interleaved || sum == pairs;
  require<shape_error>(positive && fits && (layout == mrope_layout::contiguous || sections.size() == 3),
                       "rope_parameters", "mrope_section",
                       formatted("{} that add up to {} frequencies",
                                 layout == mrope_layout::contiguous ? "sections" : "three sections", pairs),
                       [&] { return fmt::format("[{}]", fmt::join(sections, ", ")); });
  std::vector<std::uint8_t> streams(static_cast<std::size_t>(pairs), 0);
  std::int64_t first = 0;
  for (std::size_t section = 0; layout == mrope_layout::contiguous && section < sections.size(); ++section) {
    std::fill_n(streams.begin() + first, sections[section], static_cast<std::uint8_t>(section % 3));
    first += sections[section];
  }
  for (std::int64_t i = 0; i < pairs; ++i) {
    if (layout == mrope_layout::interleaved && i % 3 != 0 && i < 3 * sections[static_cast<std::size_t>(i % 3)]) {
      streams[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % 3);
    }
    if (layout == mrope_layout::height_width && i < sections[0] + sections[1]) {
      streams[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(1 + i % 2);
    }
  }
  return streams;
}

}  // namespace kvtransfer::rope
