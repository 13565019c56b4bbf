#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::uint64_t memory_changes::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

KVTRANSFER_INLINE std::uint64_t memory_changes::note(std::vector<memory_range> changed, std::string_view call) {
  std::ranges::sort(changed, {}, &memory_range::begin);
  const auto name = std::make_shared<const std::string>(call);
  const std::scoped_lock lock(mutex_);
  ++last_;
  for (std::size_t i = 0; i < changed.size();) {
    memory_range range = changed[i];
    for (++i; i < changed.size() && changed[i].begin <= range.end; ++i) {
      range.end = std::max(range.end, changed[i].end);
    }
    if (range.begin < range.end) {
      replace(range, {range.end, last_, name});
    }
  }
  return last_;
}

KVTRANSFER_INLINE std::optional<std::string> memory_changes::call_since(std::uint64_t known,
                                                                        const std::vector<memory_range>& read) const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t latest = known;
  std::optional<std::string> call;
  for (const memory_range& range : latest == last_ ? std::vector<memory_range>() : read) {
    for (auto found = first_behind(range.begin); found != changes_.end() && found->first < range.end; ++found) {
      if (found->second.number > latest) {
        latest = found->second.number;
        call = *found->second.call;
      }
    }
  }
  return call;
}

KVTRANSFER_INLINE memory_changes::by_begin::const_iterator memory_changes::first_behind(std::uintptr_t address) const {
  auto found = changes_.upper_bound(address);
  if (found != changes_.begin() && std::prev(found)->second.end > address) {
    --found;
  }
  return found;
}

KVTRANSFER_INLINE void memory_changes::replace(const memory_range& range, change latest) {
  const auto known = changes_.find(range.begin);
  if (known != changes_.end() && known->second.end == range.end) {  // the same memory again
    known->second = std::move(latest);
    return;
  }
  cut_out(range);
  changes_.emplace(range.begin, std::move(latest));
}

KVTRANSFER_INLINE void memory_changes::cut_out(const memory_range& range) {
  auto found = first_behind(range.begin);
  while (found != changes_.end() && found->first < range.end) {
    const memory_range old{found->first, found->second.end};
    change rest = found->second;
    found = changes_.erase(found);
    if (old.begin < range.begin) {
      changes_.emplace(old.begin, change{range.begin, rest.number, rest.call});
    }
    if (range.end < old.end) {
      changes_.emplace(range.end, std::move(rest));
      return;
    }
  }
}

}  // namespace kvtransfer
