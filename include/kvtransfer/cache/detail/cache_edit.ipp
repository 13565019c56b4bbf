#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::string listed_ranges(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) {
      ++end;
    }
    text += fmt::format("{}{}", i == 0 ? "" : ", ", numbers[i]);
    text += end - i > 1 ? fmt::format("-{}", numbers[end - 1]) : "";
    i = end;
  }
  return text;
}

KVTRANSFER_INLINE std::string listed_ranges(const std::vector<slot_range>& ranges) {
  std::string text;
  for (const slot_range& range : ranges) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", range.begin);
    text += range.count > 1 ? fmt::format("-{}", range.end() - 1) : "";
  }
  return text;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE std::string_view name_of(edit_kind kind) {
  return detail::edit_kind_names[static_cast<std::size_t>(kind)];
}

KVTRANSFER_INLINE std::optional<edit_kind> edit_kind_named(std::string_view name) {
  return detail::named_value<edit_kind>(detail::edit_kind_names, name);
}

KVTRANSFER_INLINE std::string_view name_of(cache_half half) {
  return detail::cache_half_names[static_cast<std::size_t>(half)];
}

KVTRANSFER_INLINE std::optional<cache_half> cache_half_named(std::string_view name) {
  return detail::named_value<cache_half>(detail::cache_half_names, name);
}

KVTRANSFER_INLINE std::string describe(const cache_edit& edit) {
  std::string text = fmt::format("{} in {}", name_of(edit.kind),
                                 edit.half == cache_half::both ? "keys and values" : name_of(edit.half));
  text += edit.layers.empty() ? "" : fmt::format(", layers {}", detail::listed_ranges(edit.layers));
  text += edit.heads.empty() ? "" : fmt::format(", heads {}", detail::listed_ranges(edit.heads));
  text += edit.slots.empty() ? "" : fmt::format(", slots {}", detail::listed_ranges(edit.slots));
  text += edit.origin.empty() ? "" : fmt::format(", from {}", edit.origin);
  return text;
}

}  // namespace kvtransfer
