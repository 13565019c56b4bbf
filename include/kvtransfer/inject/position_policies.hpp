#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/inject/concepts.hpp"

namespace kvtransfer {

namespace detail {

/// `count` tokens, `gap` positions after the last one held; from `gap` on where none is.
/// @throws value_error for a negative gap, which would put text among what it follows, or where positions end
inline position_row after(const position_row& source, std::int64_t count, std::int64_t gap, std::string_view policy) {
  require<value_error>(gap >= 0, policy, "tokens", "0 or more", fmt::format("{}", gap));
  const std::int64_t last = source.last_position().value_or(-1);
  const std::int64_t left = std::numeric_limits<std::int64_t>::max() - std::max<std::int64_t>(last, 0);
  if (gap >= left || count >= left - gap) {
    fail<value_error>(policy, "positions", "64 bits to be enough",
                      fmt::format("{} tokens, {} after {}", count, gap, last));
  }
  return position_row::consecutive(last + 1 + gap, count);
}

}  // namespace detail

namespace positions {

/// The token after the last one held, and on from there: what a causal model saw in training, hence the default
/// everywhere.
struct offset {
  static constexpr std::string_view name = "offset";  ///< as in a registry
  /// Consecutive, from one past the largest position of `source` on.
  position_row place(const position_row& source, std::int64_t count) const {
    return detail::after(source, count, 0, "positions::offset");
  }
};

/// From 0 again, as if nothing had been injected: two texts then share positions. For reproducing harnesses that do so.
struct restart {
  static constexpr std::string_view name = "restart";  ///< as in a registry
  /// 0 to `count` − 1.
  position_row place(const position_row&, std::int64_t count) const { return position_row::consecutive(0, count); }
};

/// As `offset`, with `tokens` positions left free between source and target: 0 or more.
struct gap {
  static constexpr std::string_view name = "gap";  ///< as in a registry
  std::int64_t tokens = 0;                         ///< positions left free
  /// Consecutive, from `tokens` past where `offset` would begin.
  /// @throws value_error for a negative gap
  position_row place(const position_row& source, std::int64_t count) const {
    return detail::after(source, count, tokens, "positions::gap");
  }
};

static_assert(PositionPolicy<offset> && PositionPolicy<restart> && PositionPolicy<gap>);

}  // namespace positions

/// A position policy chosen at run time.
class any_position_policy {
 public:
  static constexpr std::string_view name = "any";  ///< of the type; `label()` tells which policy was chosen.

  /// Takes any policy, by value.
  template <class Policy>
    requires(!std::same_as<Policy, any_position_policy>) && PositionPolicy<Policy>
  any_position_policy(Policy policy)  // NOLINT(google-explicit-constructor): a policy is a policy
      : label_(Policy::name),
        place_([policy](const position_row& source, std::int64_t count) { return policy.place(source, count); }) {}

  /// As the chosen policy places them.
  position_row place(const position_row& source, std::int64_t count) const { return place_(source, count); }
  /// The chosen policy's name.
  const std::string& label() const { return label_; }

 private:
  std::string label_;
  std::function<position_row(const position_row&, std::int64_t)> place_;
};

static_assert(PositionPolicy<any_position_policy>);

/// Position policies by name, each made from the text after a colon (`gap:16`). A program adds its own and passes the
/// registry on.
class position_policy_registry {
 public:
  /// Makes a policy from the text behind the colon, empty where there is none.
  using maker = std::function<any_position_policy(const std::string& argument)>;

  /// The library's own: offset, restart, gap:TOKENS.
  static position_policy_registry standard() {
    position_policy_registry known;
    known.add("offset", without_argument(positions::offset{}));
    known.add("restart", without_argument(positions::restart{}));
    known.add("gap", [](const std::string& tokens) { return positions::gap{parse_tokens(tokens)}; });
    return known;
  }

  /// @throws value_error if the name is empty or taken
  void add(std::string policy_name, maker make) { makers_.add(std::move(policy_name), std::move(make)); }

  /// @param text a name, or `name:argument`
  /// @throws value_error listing the known names
  [[nodiscard]] any_position_policy parse(const std::string& text) const {
    const std::size_t colon = text.find(':');
    return makers_.at(text.substr(0, colon))(colon == std::string::npos ? "" : text.substr(colon + 1));
  }

 private:
  static maker without_argument(const any_position_policy& policy) {
    return [policy](const std::string& argument) {
      require<value_error>(argument.empty(), "position policy", policy.label(), "no argument", argument);
      return policy;
    };
  }

  static std::int64_t parse_tokens(const std::string& text) {
    std::int64_t tokens = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), tokens);
    if (problem != std::errc{} || end != text.data() + text.size() || tokens < 0) {
      fail<value_error>("position policy", "gap", "a number of tokens, as in gap:16", text);
    }
    return tokens;
  }

  registry<maker> makers_{"position policy", "name"};
};

}  // namespace kvtransfer
