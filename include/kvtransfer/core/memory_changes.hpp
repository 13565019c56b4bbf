#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvtransfer {

/// Bytes that follow one another in memory, by address: [begin, end).
struct memory_range {
  std::uintptr_t begin = 0;  ///< address of the first byte
  std::uintptr_t end = 0;    ///< one past the last

  /// Whether there is a byte in both.
  [[nodiscard]] constexpr bool meets(const memory_range& other) const { return begin < other.end && other.begin < end; }

  /// Whether both are the same bytes.
  friend constexpr bool operator==(const memory_range&, const memory_range&) = default;
};

namespace detail {

/// Leaves pieces of no bytes out, puts the others by rising address, and joins those that meet or adjoin.
void put_in_order(std::vector<memory_range>& pieces);

/// Whether any of the first meets any of the others, both put in order.
[[nodiscard]] bool any_meet(const std::vector<memory_range>& pieces, const std::vector<memory_range>& others);

}  // namespace detail

/// What this library has changed in place, by address: how a view, or another owner of the same memory, finds out that
/// keys are no longer where its frame says. It holds as many entries as there are separate pieces of memory that were
/// changed, a number for each 8 MiB that any lies in, and the last few changes once more; memory that is used again
/// takes its place.
///
/// Every change has a number, and numbers rise. Whoever reads memory keeps the number that was the last when it knew
/// what stood there, and keeps the memory alive; so an address that is used anew is never taken for its predecessor.
class memory_changes {
 public:
  /// The process's.
  [[nodiscard]] static memory_changes& instance() {
    static memory_changes changes;  // defined here in every mode, so that a process has one
    return changes;
  }

  /// The number of the last change.
  std::uint64_t last() const;

  /// Takes note that `call` changed these bytes. @return the change's number
  std::uint64_t note(std::vector<memory_range> changed, std::string_view call);

  /// Whether there may have been a change within `bounds` since change number `known`: where not, nobody needs to list
  /// the pieces in there that are read.
  bool may_have_changed(std::uint64_t known, const std::vector<memory_range>& bounds) const;

  /// The call that made the latest change of these bytes since change number `known`; nothing where there was none.
  std::optional<std::string> call_since(std::uint64_t known, std::vector<memory_range> read) const;

 private:
  using name = std::shared_ptr<const std::string>;
  struct change {
    std::uintptr_t end = 0;
    std::uint64_t number = 0;
    name call;
  };
  using by_begin = std::map<std::uintptr_t, change>;
  /// A change as it was noted. Most often the same memory is changed again before many others are, and then this one
  /// is forgotten as a whole.
  struct noted_change {
    std::vector<memory_range> pieces;  // by rising address, apart from one another
    std::uint64_t number = 0;
    name call;
  };

  static constexpr int page_bits = 23;  // 8 MiB: few are looked up for a layer, and neighbours are seldom in one
  static constexpr std::size_t most_waiting = 32;         // changes
  static constexpr std::size_t most_pieces = 1ULL << 20;  // of all that wait

  /// Gives every page that the pieces reach the last number.
  void number_pages(const std::vector<memory_range>& pieces);

  /// Whether a page of these has a later change than `known`.
  bool pages_changed(std::uint64_t known, const std::vector<memory_range>& bounds) const;

  /// Moves what waits into `changes_`, the oldest first.
  void sort_in_waiting();

  /// The first change that ends behind `address`.
  by_begin::const_iterator first_behind(std::uintptr_t address) const;

  /// Puts a change in the place of what is known of its range. @param next where it may stand already
  /// @return what stands behind it
  by_begin::iterator replace(std::uintptr_t begin, const change& latest, by_begin::iterator next);

  /// Leaves of older changes what lies outside of `range`.
  void cut_out(const memory_range& range);

  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::uint64_t last_sorted_ = 0;                            // of those in `changes_`
  std::unordered_map<std::uintptr_t, std::uint64_t> pages_;  // the last change in each
  std::vector<noted_change> waiting_;                        // all later, in the order of their numbers
  by_begin changes_;                                         // apart from one another
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/memory_changes.ipp"  // IWYU pragma: export
#endif
