#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// Layers, heads or slots by number, as people write them: `2-4,7,9-`, both ends included, the last one open.
class index_ranges {
 public:
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  index_ranges(std::int64_t first, std::int64_t last) : index_ranges(std::vector<slot_range>{closed(first, last)}) {}

  /// @param ranges in any order, not empty, none of them meeting another in an index
  /// @throws value_error where an index is named twice, or nothing is
  explicit index_ranges(std::vector<slot_range> ranges) : ranges_(std::move(ranges)) {
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

  /// These indices, in any order. @throws value_error where one is named twice, or none is
  [[nodiscard]] static index_ranges listed(const std::vector<std::int64_t>& indices) {
    std::vector<slot_range> ranges;
    for (const std::int64_t index : indices) {
      ranges.push_back(closed(index, index));
    }
    return index_ranges(std::move(ranges));
  }

  /// `first` and all that come after it.
  [[nodiscard]] static slot_range open(std::int64_t first) { return {first, endless - first}; }
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  [[nodiscard]] static slot_range closed(std::int64_t first, std::int64_t last) {
    require<value_error>(first >= 0 && first <= last && last < endless, "index_ranges", "range", "0 <= first <= last",
                         formatted("{}-{}", first, last));
    return {first, last - first + 1};
  }

  /// Whether it is among them.
  [[nodiscard]] bool contains(std::int64_t index) const {
    return std::ranges::any_of(ranges_,
                               [=](const slot_range& range) { return range.begin <= index && index < range.end(); });
  }

  /// The largest that is named; of an open range its first.
  [[nodiscard]] std::int64_t largest() const {
    const slot_range& last = ranges_.back();
    return last.end() == endless ? last.begin : last.end() - 1;
  }

  /// Rising, apart.
  [[nodiscard]] const std::vector<slot_range>& ranges() const { return ranges_; }

  /// `2-4,7,9-`
  [[nodiscard]] std::string text() const {
    std::string text;
    for (const slot_range& range : ranges_) {
      text += fmt::format("{}{}", text.empty() ? "" : ",", range.begin);
      text += range.end() == endless ? "-" : range.count > 1 ? fmt::format("-{}", range.end() - 1) : "";
    }
    return text;
  }

  /// @param what as "layers"
  /// @param policy what errors name
  /// @throws value_error unless all of them are below `count`
  void require_below(std::int64_t count, std::string_view policy, std::string_view what) const {
    require<value_error>(largest() < count, policy, what, formatted("{} below {}", what, count),
                         [&] { return fmt::format("{}", largest()); });
  }

  friend bool operator==(const index_ranges&, const index_ranges&) = default;

 private:
  static constexpr std::int64_t endless = std::numeric_limits<std::int64_t>::max();

  std::vector<slot_range> ranges_;
};

}  // namespace kvtransfer
