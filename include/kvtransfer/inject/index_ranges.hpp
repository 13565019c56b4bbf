#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// Layers, heads or slots by number, as people write them: `2-4,7,9-`, both ends included, the last one open.
class index_ranges {
 public:
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  index_ranges(std::int64_t first, std::int64_t last) : index_ranges(std::vector<slot_range>{closed(first, last)}) {}

  /// @param ranges in any order, not empty, none of them meeting another in an index
  /// @throws value_error where an index is named twice, or nothing is
  explicit index_ranges(std::vector<slot_range> ranges);

  /// These indices, in any order. @throws value_error where one is named twice, or none is
  [[nodiscard]] static index_ranges listed(const std::vector<std::int64_t>& indices);

  /// `first` and all that come after it.
  [[nodiscard]] static slot_range open(std::int64_t first) { return {first, endless - first}; }
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  [[nodiscard]] static slot_range closed(std::int64_t first, std::int64_t last);

  /// Whether it is among them.
  [[nodiscard]] bool contains(std::int64_t index) const;

  /// The largest that is named; of an open range its first.
  [[nodiscard]] std::int64_t largest() const;

  /// Rising, apart.
  [[nodiscard]] const std::vector<slot_range>& ranges() const { return ranges_; }

  /// `2-4,7,9-`
  [[nodiscard]] std::string text() const;

  /// @param what as "layers"
  /// @param policy what errors name
  /// @throws value_error unless all of them are below `count`
  void require_below(std::int64_t count, std::string_view policy, std::string_view what) const;

  friend bool operator==(const index_ranges&, const index_ranges&) = default;

 private:
  static constexpr std::int64_t endless = std::numeric_limits<std::int64_t>::max();

  std::vector<slot_range> ranges_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/index_ranges.ipp"  // IWYU pragma: export
#endif
