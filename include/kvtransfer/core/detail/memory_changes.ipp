#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::uint64_t memory_changes::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

KVTRANSFER_INLINE std::uint64_t memory_changes::note(std::vector<memory_range> changed, std::string_view call) {
  if (!std::ranges::is_sorted(changed, {}, &memory_range::begin)) {
    std::ranges::sort(changed, {}, &memory_range::begin);
  }
  const std::scoped_lock lock(mutex_);
  ++last_;
  const std::size_t named = index_of(call);
  auto next = changes_.end();
  std::optional<std::uintptr_t> numbered;  // the last page whose number is new
  for (std::size_t i = 0; i < changed.size();) {
    memory_range range = changed[i];
    for (++i; i < changed.size() && changed[i].begin <= range.end; ++i) {
      range.end = std::max(range.end, changed[i].end);
    }
    if (range.begin < range.end) {
      next = replace(range.begin, {range.end, last_, named}, next);
      for (std::uintptr_t page = range.begin >> page_bits; page <= (range.end - 1) >> page_bits; ++page) {
        if (page != numbered) {
          pages_[page] = last_;
          numbered = page;
        }
      }
    }
  }
  return last_;
}

KVTRANSFER_INLINE std::size_t memory_changes::index_of(std::string_view call) {
  const auto found = std::ranges::find(calls_, call);
  if (found == calls_.end()) {
    calls_.emplace_back(call);
    return calls_.size() - 1;
  }
  return static_cast<std::size_t>(found - calls_.begin());
}

KVTRANSFER_INLINE bool memory_changes::may_have_changed(std::uint64_t known,
                                                        const std::vector<memory_range>& bounds) const {
  const std::scoped_lock lock(mutex_);
  for (const memory_range& range : known == last_ ? std::vector<memory_range>() : bounds) {
    for (std::uintptr_t page = range.begin >> page_bits; page << page_bits < range.end; ++page) {
      if (const auto found = pages_.find(page); found != pages_.end() && found->second > known) {
        return true;
      }
    }
  }
  return false;
}

KVTRANSFER_INLINE std::optional<std::string> memory_changes::call_since(std::uint64_t known,
                                                                        const std::vector<memory_range>& read) const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t latest = known;
  std::optional<std::size_t> call;
  for (const memory_range& range : latest == last_ ? std::vector<memory_range>() : read) {
    for (auto found = first_behind(range.begin); found != changes_.end() && found->first < range.end; ++found) {
      if (found->second.number > latest && range.begin < range.end) {
        latest = found->second.number;
        call = found->second.call;
      }
    }
  }
  return call ? std::optional(calls_[*call]) : std::nullopt;
}

KVTRANSFER_INLINE memory_changes::by_begin::const_iterator memory_changes::first_behind(std::uintptr_t address) const {
  auto found = changes_.upper_bound(address);
  if (found != changes_.begin() && std::prev(found)->second.end > address) {
    --found;
  }
  return found;
}

KVTRANSFER_INLINE memory_changes::by_begin::iterator memory_changes::replace(std::uintptr_t begin, const change& latest,
                                                                             by_begin::iterator next) {
  const bool is_next = next != changes_.end() && next->first == begin;
  const auto known = is_next ? next : changes_.find(begin);
  if (known != changes_.end() && known->second.end == latest.end) {  // the same memory again
    known->second = latest;
    return std::next(known);
  }
  cut_out({begin, latest.end});
  return std::next(changes_.emplace(begin, latest).first);
}

KVTRANSFER_INLINE void memory_changes::cut_out(const memory_range& range) {
  auto found = first_behind(range.begin);
  while (found != changes_.end() && found->first < range.end) {
    const memory_range old{found->first, found->second.end};
    const change rest = found->second;
    found = changes_.erase(found);
    if (old.begin < range.begin) {
      changes_.emplace(old.begin, change{range.begin, rest.number, rest.call});
    }
    if (range.end < old.end) {
      changes_.emplace(range.end, rest);
      return;
    }
  }
}

}  // namespace kvtransfer
