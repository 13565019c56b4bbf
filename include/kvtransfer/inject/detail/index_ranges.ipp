#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/inject/index_ranges.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE index_ranges::index_ranges(std::vector<slot_range> ranges) : ranges_(std::move(ranges)) {
  require<value_error>(!ranges_.empty(), "index_ranges", "ranges", "at least one", "none");
  std::ranges::sort(ranges_, {}, &slot_range::begin);
  std::vector<slot_range> merged;
  for (const slot_range& range : ranges_) {
    require<value_error>(range.begin >= 0 && range.count > 0, "index_ranges", "range", "0 <= first <= last",
                         [&] { return fmt::format("{}-{}", range.begin, range.end() - 1); });
    require<value_error>(merged.empty() || merged.back().end() <= range.begin, "index_ranges", "ranges",
                         "every index once", [&] { return fmt::format("{} twice", range.begin); });
    if (!merged.empty() && merged.back().end() == range.begin) {
      merged.back().count += range.count;
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

KVTRANSFER_INLINE index_ranges index_ranges::listed(const std::vector<std::int64_t>& indices) {
  std::vector<slot_range> ranges;
  for (const std::int64_t index : indices) {
    ranges.push_back(closed(index, index));
  }
  return index_ranges(std::move(ranges));
}

KVTRANSFER_INLINE slot_range index_ranges::closed(std::int64_t first, std::int64_t last) {
  require<value_error>(first >= 0 && first <= last && last < endless, "index_ranges", "range", "0 <= first <= last",
                       formatted("{}-{}", first, last));
  return {first, last - first + 1};
}

KVTRANSFER_INLINE bool index_ranges::contains(std::int64_t index) const {
  return std::ranges::any_of(ranges_,
                             [=](const slot_range& range) { return range.begin <= index && index < range.end(); });
}

KVTRANSFER_INLINE std::int64_t index_ranges::largest() const {
  const slot_range& last = ranges_.back();
  return last.end() == endless ? last.begin : last.end() - 1;
}

KVTRANSFER_INLINE std::string index_ranges::text() const {
  std::string text;
  for (const slot_range& range : ranges_) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", range.begin);
    text += range.end() == endless ? "-" : range.count > 1 ? fmt::format("-{}", range.end() - 1) : "";
  }
  return text;
}

KVTRANSFER_INLINE void index_ranges::require_below(std::int64_t count, std::string_view policy,
                                                   std::string_view what) const {
  require<value_error>(largest() < count, policy, what, formatted("{} below {}", what, count),
                       [&] { return fmt::format("{}", largest()); });
}

}  // namespace kvtransfer
