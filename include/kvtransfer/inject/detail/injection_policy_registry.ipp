#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"
#include "kvtransfer/inject/keys_values.hpp"
#include "kvtransfer/inject/place_keys.hpp"
#include "kvtransfer/inject/policy_arguments.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/select/heads.hpp"
#include "kvtransfer/inject/select/layers.hpp"
#include "kvtransfer/inject/select/selected.hpp"
#include "kvtransfer/inject/select/tokens.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE selected with_rest(selected chosen, const policy_arguments& arguments) {
  arguments.require_count(1, 2);
  if (arguments.count() == 1) {
    return chosen;
  }
  auto [rest, half] = arguments.donor_half(1);
  return chosen.with_rest(std::move(rest), half);
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE injection_policy_registry injection_policy_registry::standard() {
  injection_policy_registry known;
  known.add_role(std::string(donor::zero_role));
  known.add_role("target");
  known.add_role("other");
  known.add_selections();
  known.add_halves();
  known.add_compositions();
  known.add_places();
  return known;
}

KVTRANSFER_INLINE void injection_policy_registry::add(std::string name, std::string example, maker make) {
  require<value_error>(name.find_first_of("+: \t\n") == std::string::npos, "injection policy", "name",
                       "a name without +, : and blanks", name);
  makers_.add(std::move(name), {std::move(example), std::move(make)});
}

KVTRANSFER_INLINE void injection_policy_registry::add_role(std::string role) {
  require<value_error>(std::ranges::find(roles_, role) == roles_.end(), "injection policy", "role",
                       "a role that is free", role);
  roles_.push_back(std::move(role));
}

KVTRANSFER_INLINE std::vector<std::string> injection_policy_registry::examples() const {
  std::vector<std::string> all;
  for (const auto& each : makers_) {
    all.push_back(each.make.example);
  }
  return all;
}

KVTRANSFER_INLINE any_injection_policy injection_policy_registry::parse(std::string_view text) const {
  any_injection_policy all;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    const std::string_view piece = text.substr(begin, end - begin);
    const any_injection_policy one = made_of(piece, text);
    try {
      all = all.followed_by(one);
    } catch (const value_error&) {
      policy_arguments::refuse_in(text, piece, detail::decision(one.kind()), "", piece);
    }
    begin = end + 1;
  }
  return all;
}

KVTRANSFER_INLINE any_injection_policy injection_policy_registry::made_of(std::string_view piece,
                                                                          std::string_view text) const {
  const std::string_view name = piece.substr(0, piece.find(':'));
  if (!makers_.contains(name)) {
    policy_arguments::refuse_in(text, piece, fmt::format("one of {}", fmt::join(makers_.names(), ", ")), "",
                                name.empty() ? "nothing" : name);
  }
  const entry& found = makers_.at(name);
  return found.make(policy_arguments(text, piece, found.example, roles_));
}

KVTRANSFER_INLINE void injection_policy_registry::add_selections() {
  using arguments = policy_arguments;
  add("all", "all", without_argument(any_injection_policy()));
  add_selection("layers", "2-4", [](const arguments& given) { return layers(given.indices(0)); });
  add_selection("heads", "0-1", [](const arguments& given) { return heads(given.head_groups(0)); });
  add_selection("q-heads", "5", [](const arguments& given) { return query_heads(given.head_groups(0)); });
  add_selection("tokens", "0-3", [](const arguments& given) { return tokens(given.indices(0)); });
  add_selection("span", "3-7", [](const arguments& given) { return detail::span_of<only_span>(given); });
  add_selection("after", "3-7", [](const arguments& given) { return detail::span_of<after_span>(given); });
}

KVTRANSFER_INLINE void injection_policy_registry::add_halves() {
  const auto values_from = [](const policy_arguments& arguments) {
    arguments.require_count(0, 1);
    return arguments.count() == 0 ? donor::zero() : arguments.donor_at(0);
  };
  add("keys", "keys:other", [=](const policy_arguments& given) { return keys_only(values_from(given)); });
  add("values", "values:other", [=](const policy_arguments& given) { return values_only(values_from(given)); });
}

KVTRANSFER_INLINE void injection_policy_registry::add_compositions() {
  using arguments = policy_arguments;
  add("prepend", "prepend:other", [](const arguments& given) {
    given.require_count(1, 1);
    return compose::prepend{given.cache_at(0)};
  });
  add("append", "append:other", [](const arguments& given) {
    given.require_count(1, 1);
    return compose::append{given.cache_at(0)};
  });
  add("insert", "insert:4:other", [](const arguments& given) {
    given.require_count(2, 2);
    return compose::insert{given.number(0, 0), given.cache_at(1)};
  });
  add("replace", "replace:3-7:other", [](const arguments& given) {
    given.require_count(2, 2);
    const auto [first, last] = given.closed_range(0);
    return compose::replace{first, last, given.cache_at(1)};
  });
  add("interleave", "interleave:other", [](const arguments& given) {
    given.require_count(1, 1);
    return compose::interleave{given.cache_at(0)};
  });
  add("blend", "blend:0.5:other", [](const arguments& given) {
    given.require_count(2, 2);
    const auto [other, half] = given.donor_half(1);
    return compose::blend{given.real(0), other, half};
  });
  add("add", "add:0.5:other", [](const arguments& given) {
    given.require_count(2, 2);
    const auto [direction, half] = given.donor_half(1);
    return compose::add{given.real(0), direction, half};
  });
  add("average", "average:target,other", [](const arguments& given) {
    given.require_count(1, 1);
    return compose::average{given.donors(0)};
  });
}

KVTRANSFER_INLINE void injection_policy_registry::add_places() {
  const auto number_of = [](const policy_arguments& arguments, std::int64_t least) {
    arguments.require_count(1, 1);
    return arguments.number(0, least);
  };
  add("kept", "kept", without_argument(place::kept{}));
  add("closed", "closed", without_argument(place::closed{}));
  add("shift", "shift:-3", [=](const policy_arguments& given) {
    return place::shift{number_of(given, std::numeric_limits<std::int64_t>::min())};
  });
  add("unrotated", "unrotated", without_argument(place::unrotated{}));
  add("offset", "offset", without_argument(place::offset{}));
  add("restart", "restart", without_argument(place::restart{}));
  add("gap", "gap:16", [=](const policy_arguments& given) { return place::gap{number_of(given, 0)}; });
  add("at", "at:20", [=](const policy_arguments& given) { return place::at{number_of(given, 0)}; });
}

KVTRANSFER_INLINE injection_policy_registry::maker injection_policy_registry::without_argument(
    const any_injection_policy& policy) {
  return [policy](const policy_arguments& arguments) {
    arguments.require_count(0, 0);
    return policy;
  };
}

}  // namespace kvtransfer
