#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// The ways a layer's keys are written, each once: under which specification, or without rotation.
inline std::vector<std::optional<rotary_specification>> writings(const layer_frame& layer) {
  std::vector<std::optional<rotary_specification>> found;
  for (const position_row& row : layer.positions.rows()) {
    for (const position_run& run : row.runs()) {
      if (run.state.is_padding()) {
        continue;
      }
      std::optional<rotary_specification> writing;
      if (run.state.is_rotated()) {
        writing = layer.specifications.at(static_cast<std::size_t>(run.state.specification()));
      }
      if (std::find(found.begin(), found.end(), writing) == found.end()) {
        found.push_back(writing);
      }
    }
  }
  return found;
}

/// @throws frame_error unless the keys of both layers are written in the same ways; a layer without keys goes with any
/// @param where the operation that errors name
inline void require_same_writings(const layer_frame& first, const layer_frame& second, std::string_view where) {
  const auto a = writings(first);
  const auto b = writings(second);
  if (!a.empty() && !b.empty() && !std::is_permutation(a.begin(), a.end(), b.begin(), b.end())) {
    if (a.size() == 1 && b.size() == 1 && a.front() && b.front()) {
      fail<frame_error>(where, "rotary specification",
                        describe_difference(*a.front(), *b.front()) + " in both caches (reframe one of them first)",
                        describe_difference(*b.front(), *a.front()));
    }
    const auto listed = [](const std::vector<std::optional<rotary_specification>>& all) {
      std::vector<std::string> names;
      for (const std::optional<rotary_specification>& one : all) {
        names.push_back(one ? fmt::format("({})", describe(*one)) : "(no rotation)");
      }
      return fmt::format("{}", fmt::join(names, ", "));
    };
    fail<frame_error>(where, "rotary specification", listed(a) + " in both caches (reframe one of them first)",
                      listed(b));
  }
}

}  // namespace kvtransfer::detail
