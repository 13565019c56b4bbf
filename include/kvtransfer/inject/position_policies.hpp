#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/concepts.hpp"

namespace kvtransfer {

namespace detail {

/// `count` tokens, `gap` positions after the last one held; from `gap` on where none is.
/// @throws value_error for a negative gap, which would put text among what it follows, or where positions end
position_row after(const position_row& source, std::int64_t count, std::int64_t gap, std::string_view policy);

}  // namespace detail

/// Where things stand: the text (here), and the keys in front of it (`place_keys.hpp`).
namespace place {

/// The token after the last one held, and on from there: what a causal model saw in training, hence the default
/// everywhere.
struct offset {
  static constexpr std::string_view name = "offset";  ///< as in a registry
  /// Consecutive, from one past the largest position of `source` on.
  [[nodiscard]] position_row place(const position_row& source, std::int64_t count) const;
};

/// From 0 again, as if nothing had been injected: two texts then share positions. For reproducing harnesses that do so.
struct restart {
  static constexpr std::string_view name = "restart";  ///< as in a registry
  /// 0 to `count` − 1.
  [[nodiscard]] position_row place(const position_row&, std::int64_t count) const;
};

/// As `offset`, with `tokens` positions left free between source and target: 0 or more.
struct gap {
  static constexpr std::string_view name = "gap";  ///< as in a registry
  std::int64_t tokens = 0;                         ///< positions left free
  /// `gap:16`
  [[nodiscard]] std::string text() const { return fmt::format("{}:{}", name, tokens); }
  /// Consecutive, from `tokens` past where `offset` would begin.
  /// @throws value_error for a negative gap
  [[nodiscard]] position_row place(const position_row& source, std::int64_t count) const;
};

/// From `position` on, wherever the source ends: text may then stand among what it is read after.
struct at {
  static constexpr std::string_view name = "at";  ///< as in a registry
  std::int64_t position = 0;                      ///< of the first token, 0 or more
  /// `at:20`
  [[nodiscard]] std::string text() const { return fmt::format("{}:{}", name, position); }
  /// Consecutive, from `position` on. @throws value_error for a negative position, or where positions end
  [[nodiscard]] position_row place(const position_row&, std::int64_t count) const;
};

static_assert(PositionPolicy<offset> && PositionPolicy<restart> && PositionPolicy<gap> && PositionPolicy<at>);

}  // namespace place

/// A position policy chosen at run time.
class any_position_policy {
 public:
  static constexpr std::string_view name = "any";  ///< of the type; `label()` tells which policy was chosen.

  /// Takes any policy, by value.
  template <class Policy>
    requires(!std::same_as<Policy, any_position_policy>) && PositionPolicy<Policy>
  any_position_policy(Policy policy)  // NOLINT(google-explicit-constructor): a policy is a policy
      : label_(Policy::name),
        text_(label_),
        place_([policy](const position_row& source, std::int64_t count) { return policy.place(source, count); }) {
    if constexpr (requires { policy.text(); }) {
      text_ = policy.text();
    }
  }

  /// As the chosen policy places them.
  [[nodiscard]] position_row place(const position_row& source, std::int64_t count) const;
  /// The chosen policy's name.
  [[nodiscard]] const std::string& label() const { return label_; }
  /// As a command line spells it: the name, with what the policy's `text()` adds where it has one.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string label_;
  std::string text_;
  std::function<position_row(const position_row&, std::int64_t)> place_;
};

static_assert(PositionPolicy<any_position_policy>);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/position_policies.ipp"  // IWYU pragma: export
#endif
