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

namespace detail {

KVTRANSFER_INLINE void put_in_order(std::vector<memory_range>& pieces) {
  const auto is_empty = [](const memory_range& range) { return range.begin >= range.end; };
  const auto touch = [&](const memory_range& one, const memory_range& next) {
    return next.begin <= one.end || is_empty(one) || is_empty(next);
  };
  if (pieces.size() > 1 && std::ranges::adjacent_find(pieces, touch) == pieces.end()) {
    return;  // as most often
  }
  std::erase_if(pieces, is_empty);
  std::ranges::sort(pieces, {}, &memory_range::begin);
  std::size_t joined = 0;
  for (const memory_range& piece : pieces) {
    if (joined > 0 && piece.begin <= pieces[joined - 1].end) {
      pieces[joined - 1].end = std::max(pieces[joined - 1].end, piece.end);
    } else {
      pieces[joined++] = piece;
    }
  }
  pieces.resize(joined);
}

}  // namespace detail

KVTRANSFER_INLINE std::uint64_t memory_changes::note(std::vector<memory_range> changed, std::string_view call) {
  detail::put_in_order(changed);
  const auto named = std::make_shared<const std::string>(call);
  const std::scoped_lock lock(mutex_);
  ++last_;
  number_pages(changed);
  std::size_t pieces = changed.size();
  for (const noted_change& noted : waiting_) {
    pieces += noted.pieces.size();
  }
  if (waiting_.size() == most_waiting || pieces > most_pieces) {
    sort_in_waiting();
  }
  waiting_.reserve(most_waiting);  // so that nothing is forgotten before this one is kept
  std::erase_if(waiting_, [&](const noted_change& noted) { return noted.pieces == changed; });
  waiting_.push_back({std::move(changed), last_, named});
  return last_;
}

KVTRANSFER_INLINE void memory_changes::number_pages(const std::vector<memory_range>& pieces) {
  std::optional<std::uintptr_t> numbered;
  for (const memory_range& range : pieces) {
    for (std::uintptr_t page = range.begin >> page_bits; page <= (range.end - 1) >> page_bits; ++page) {
      if (page != numbered) {
        pages_[page] = last_;
        numbered = page;
      }
    }
  }
}

KVTRANSFER_INLINE bool memory_changes::may_have_changed(std::uint64_t known,
                                                        const std::vector<memory_range>& bounds) const {
  const std::scoped_lock lock(mutex_);
  return pages_changed(known, bounds);
}

KVTRANSFER_INLINE bool memory_changes::pages_changed(std::uint64_t known,
                                                     const std::vector<memory_range>& bounds) const {
  if (known == last_) {
    return false;
  }
  std::optional<std::uintptr_t> unchanged;
  for (const memory_range& range : bounds) {
    for (std::uintptr_t page = range.begin >> page_bits;
         range.begin < range.end && page <= (range.end - 1) >> page_bits; ++page) {
      if (page == unchanged) {
        continue;
      }
      if (const auto found = pages_.find(page); found != pages_.end() && found->second > known) {
        return true;
      }
      unchanged = page;
    }
  }
  return false;
}

KVTRANSFER_INLINE bool detail::any_meet(const std::vector<memory_range>& pieces,
                                        const std::vector<memory_range>& others) {
  const bool is_shorter = pieces.size() < others.size();
  const std::vector<memory_range>& many = is_shorter ? others : pieces;
  auto from = many.begin();
  for (const memory_range& range : is_shorter ? pieces : others) {
    std::ptrdiff_t step = 1;  // doubled, so that few pieces are found fast among many, and many among many too
    while (step < many.end() - from && (from + step)->end <= range.begin) {
      step *= 2;
    }
    const auto to = many.end() - from > step ? from + step : many.end();
    from = std::ranges::upper_bound(from, to, range.begin, {}, &memory_range::end);
    if (from == many.end()) {
      return false;
    }
    if (from->begin < range.end) {
      return true;
    }
  }
  return false;
}

KVTRANSFER_INLINE std::optional<std::string> memory_changes::call_since(std::uint64_t known,
                                                                        std::vector<memory_range> read) const {
  detail::put_in_order(read);
  const std::scoped_lock lock(mutex_);
  if (!pages_changed(known, read)) {
    return std::nullopt;
  }
  for (auto noted = waiting_.rbegin(); noted != waiting_.rend(); ++noted) {  // the latest first
    if (noted->number <= known) {
      return std::nullopt;
    }
    if (detail::any_meet(noted->pieces, read)) {
      return *noted->call;
    }
  }
  if (last_sorted_ <= known) {
    return std::nullopt;
  }
  std::uint64_t latest = known;
  name call;
  for (const memory_range& range : read) {
    for (auto found = first_behind(range.begin); found != changes_.end() && found->first < range.end; ++found) {
      if (found->second.number > latest) {
        latest = found->second.number;
        call = found->second.call;
      }
    }
  }
  return call ? std::optional(*call) : std::nullopt;
}

KVTRANSFER_INLINE void memory_changes::sort_in_waiting() {
  for (const noted_change& noted : waiting_) {
    auto next = changes_.end();
    for (const memory_range& range : noted.pieces) {
      next = replace(range.begin, {range.end, noted.number, noted.call}, next);
    }
    last_sorted_ = noted.number;
  }
  waiting_.clear();
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
  auto found = changes_.upper_bound(range.begin);
  if (found != changes_.begin() && std::prev(found)->second.end > range.begin) {
    --found;
  }
  while (found != changes_.end() && found->first < range.end) {
    if (found->second.end > range.end) {
      changes_.emplace(range.end, found->second);
    }
    if (found->first < range.begin) {
      found->second.end = range.begin;
      ++found;
    } else {
      found = changes_.erase(found);
    }
  }
}

}  // namespace kvtransfer
