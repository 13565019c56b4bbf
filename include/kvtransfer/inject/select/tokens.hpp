#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

/// Slots, in every layer: tokens of the source, counted from 0 at its left end. Where sequences are padded, padding
/// counts.
class tokens {
 public:
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  tokens(std::int64_t first, std::int64_t last) : chosen_(first, last) {}
  /// Those in `chosen`.
  explicit tokens(index_ranges chosen) : chosen_(std::move(chosen)) {}

  /// `tokens:0-3,7-`
  [[nodiscard]] std::string text() const { return fmt::format("tokens:{}", chosen_.text()); }

  /// @throws value_error for a slot past the last
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const;

 private:
  index_ranges chosen_;
};

namespace detail {

/// A part of the source's text: its slots, or a name that the context knows.
class text_span {
 public:
  explicit text_span(std::string name) : name_(std::move(name)) {}
  text_span(std::int64_t first, std::int64_t last) : slots_(index_ranges::closed(first, last)) {}

  [[nodiscard]] std::string text() const { return name_.empty() ? index_ranges(std::vector{slots_}).text() : name_; }
  [[nodiscard]] std::vector<std::string> spans() const;

  /// @throws value_error where the context does not know the name, or the cache lacks the slots
  [[nodiscard]] slot_range slots_in(const injection& what, std::string_view policy) const;

 private:
  std::string name_;  // empty: `slots_`
  slot_range slots_;
};

}  // namespace detail

/// What stands in one part of the source's text, in every layer: `only_span("fact")`. Half of the question where
/// something lies; `after_span` is the other half, since later tokens have read the span and may carry what it says.
class only_span {
 public:
  /// The span of that name in the context.
  explicit only_span(std::string name) : span_(std::move(name)) {}
  /// Slots `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  only_span(std::int64_t first, std::int64_t last) : span_(first, last) {}

  /// `span:fact` or `span:3-7`
  [[nodiscard]] std::string text() const { return fmt::format("span:{}", span_.text()); }
  /// The name that the context has to know, or none.
  [[nodiscard]] std::vector<std::string> spans() const { return span_.spans(); }
  /// @throws value_error where the context does not know the span, or the cache lacks it
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const;

 private:
  detail::text_span span_;
};

/// All that comes after a part of the source's text, in every layer: what has read it, without the part itself.
class after_span {
 public:
  /// The span of that name in the context.
  explicit after_span(std::string name) : span_(std::move(name)) {}
  /// Slots `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  after_span(std::int64_t first, std::int64_t last) : span_(first, last) {}

  /// `after:fact` or `after:3-7`
  [[nodiscard]] std::string text() const { return fmt::format("after:{}", span_.text()); }
  /// The name that the context has to know, or none.
  [[nodiscard]] std::vector<std::string> spans() const { return span_.spans(); }
  /// @throws value_error where the context does not know the span, or the cache lacks it
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const;

 private:
  detail::text_span span_;
};

static_assert(SlotSelection<tokens> && SlotSelection<only_span> && SlotSelection<after_span>);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/select/detail/tokens.ipp"  // IWYU pragma: export
#endif
