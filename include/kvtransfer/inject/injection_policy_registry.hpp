#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/keys_values.hpp"
#include "kvtransfer/inject/place_keys.hpp"
#include "kvtransfer/inject/policy_arguments.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/select/heads.hpp"
#include "kvtransfer/inject/select/layers.hpp"
#include "kvtransfer/inject/select/selected.hpp"
#include "kvtransfer/inject/select/tokens.hpp"

namespace kvtransfer {

namespace detail {

/// What is left out comes from a donor where a second field says so: `other`, `other.keys`, `other.values`.
inline selected with_rest(selected chosen, const policy_arguments& arguments) {
  arguments.require_count(1, 2);
  if (arguments.count() == 1) {
    return chosen;
  }
  auto [rest, half] = arguments.donor_half(1);
  return chosen.with_rest(std::move(rest), half);
}

template <class Span>
Span span_of(const policy_arguments& arguments) {
  const std::string_view text = arguments.field(0);
  if (text.front() < '0' || text.front() > '9') {
    return Span(arguments.name(0));
  }
  const auto [first, last] = arguments.closed_range(0);
  return Span(first, last);
}

}  // namespace detail

// clang-format off: a table is no running text

/// Injection policies by name, each made from what a text says behind its name; a text joins several by a plus sign:
/// `layers:2-4+keys+gap:16`. A program adds its own and passes the registry on.
///
/// Policies apply from left to right; ranges have both ends in them (`4-` has none), several are joined by commas.
///
/// | text                     | in C++                            | for what                                          |
/// |--------------------------|-----------------------------------|---------------------------------------------------|
/// | `all`                    | `any_injection_policy()`          | everything as it is: the control                  |
/// | `layers:2-4`             | `layers(2, 4)`                    | which layers carry it                             |
/// | `heads:0-1`, `heads:3.1` | `heads(0, 1)`                     | which KV heads do, of all layers or of layer 3    |
/// | `q-heads:5`              | `query_heads(5, 5)`               | the KV head of a query head (`notes`: who shares) |
/// | `tokens:0-3`             | `tokens(0, 3)`                    | which tokens do                                   |
/// | `span:fact`, `span:3-7`  | `only_span("fact")`               | the part of the text that says it …               |
/// | `after:fact`             | `after_span("fact")`              | … and what has read that part                     |
/// |                          | `where("odd", function)`          | any other choice of slots                         |
/// | `without-layers:2`, …    | `without(layers(2, 2))`           | all but it: is it necessary, not only sufficient  |
/// | `layers:2-4:other`       | `filled(layers(2, 4), "other")`   | the rest from a donor instead of nothing          |
/// | `layers:2-4:other.keys`  | `filled(…, cache_half::keys)`     | one half of the rest                              |
/// | `keys`, `keys:other`     | `keys_only("other")`              | where a query looks, without what it finds        |
/// | `values`, `values:other` | `values_only("other")`            | what it finds, without where it looks             |
/// | `blend:0.5:other`        | `compose::blend{0.5, "other"}`    | a dose of the source                              |
/// | `add:0.5:other`          | `compose::add{0.5, direction}`    | steering along a direction                        |
/// | `average:target,other`   | `compose::average{{…}}`           | what caches have in common                        |
/// | `prepend:…`, `append:…`  | `compose::prepend{"other"}`       | several sources in order                          |
/// | `insert:4:other`         | `compose::insert{4, "other"}`     | another text inside that of the source            |
/// | `replace:3-7:other`      | `compose::replace{3, 7, "other"}` | one part exchanged, the rest as it was written    |
/// | `interleave:other`       | `compose::interleave{"other"}`    | two sources in turn                               |
/// | `kept`                   | `place::kept{}`                   | keys where they stood (the default, said)         |
/// | `closed`                 | `place::closed{}`                 | what is left as a text of its own                 |
/// | `shift:-3`               | `place::shift{-3}`                | an error of position                              |
/// | `unrotated`              | `place::unrotated{}`              | keys without their order                          |
/// | `offset`                 | `place::offset{}`                 | the text behind the source (the default, said)    |
/// | `restart`                | `place::restart{}`                | the text at 0, as if nothing stood in front of it |
/// | `gap:16`                 | `place::gap{16}`                  | free positions between source and text            |
/// | `at:20`                  | `place::at{20}`                   | the text at a position                            |
///
/// Donors are other caches by role: `zero` (zeros; what `keys` and `values` mean where none is named, since zeros alone
/// are always there), `target` (the cache of the text's own prompt) and `other` (another example's, the control that
/// counts). A program supplies them in an `injection_context`; `any_injection_policy::roles` says which are wanted. A
/// donor is cut and moved as the source has been, slot by slot.
///
/// What is not here, and why:
/// - Noise and shuffles: they are sources, not ways to inject one (`noise.hpp`, `controls.hpp`).
/// - Slots chosen by attention (SnapKV, H2O): they need a model, which this folder does not know. `where` takes their
///   choice.
/// - Donors of another length, resampled: there is no neutral way to pair their slots. Pair them first (`gather`).
/// - Donors of another model: that is what `project` is for.
/// - Keys under another rotary specification: `cache::reframe` before injecting says so once, for all policies.
/// - A place for keys in the middle of the text: a plan reads what is injected before its tokens.
// clang-format on
class injection_policy_registry {
 public:
  /// Makes a policy from its arguments.
  using maker = std::function<any_injection_policy(const policy_arguments& arguments)>;
  /// How a policy is written, and what makes it.
  struct entry {
    std::string example;  ///< for complaints and for help: `gap:16`
    maker make;           ///< throws `value_error` through the arguments
  };

  /// All policies of the library; donors `target` (the cache of the text's own prompt), `other` (that of another
  /// example) and `zero`.
  [[nodiscard]] static injection_policy_registry standard() {
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

  /// @param example how it is written, for complaints and for help
  /// @throws value_error if the name is empty, taken, or none that a text can say
  void add(std::string name, std::string example, maker make) {
    require<value_error>(name.find_first_of("+: \t\n") == std::string::npos, "injection policy", "name",
                         "a name without +, : and blanks", name);
    makers_.add(std::move(name), {std::move(example), std::move(make)});
  }

  /// A name for another cache, which texts may then say. @throws value_error if it is taken
  void add_role(std::string role) {
    require<value_error>(std::ranges::find(roles_, role) == roles_.end(), "injection policy", "role",
                         "a role that is free", role);
    roles_.push_back(std::move(role));
  }

  /// How each policy is written, in the order in which they were added: for help.
  [[nodiscard]] std::vector<std::string> examples() const {
    std::vector<std::string> all;
    for (const auto& each : makers_) {
      all.push_back(each.make.example);
    }
    return all;
  }

  /// The policies that a text joins by plus signs. What `describe` gives of the result parses to the same.
  /// @throws value_error that shows the place in the text and what would be right there
  [[nodiscard]] any_injection_policy parse(std::string_view text) const {
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

 private:
  [[nodiscard]] any_injection_policy made_of(std::string_view piece, std::string_view text) const {
    const std::string_view name = piece.substr(0, piece.find(':'));
    if (!makers_.contains(name)) {
      policy_arguments::refuse_in(text, piece, fmt::format("one of {}", fmt::join(makers_.names(), ", ")), "",
                                  name.empty() ? "nothing" : name);
    }
    const entry& found = makers_.at(name);
    return found.make(policy_arguments(text, piece, found.example, roles_));
  }

  /// A selection and all but it, each with the rest from a donor where the text says so.
  template <class Make>
  void add_selection(const std::string& name, const std::string& argument, Make make) {
    add(name, fmt::format("{}:{}", name, argument),
        [make](const policy_arguments& arguments) { return detail::with_rest(make(arguments), arguments); });
    add(fmt::format("without-{}", name), fmt::format("without-{}:{}", name, argument),
        [make](const policy_arguments& arguments) { return detail::with_rest(without(make(arguments)), arguments); });
  }

  void add_selections() {
    using arguments = policy_arguments;
    add("all", "all", without_argument(any_injection_policy()));
    add_selection("layers", "2-4", [](const arguments& given) { return layers(given.indices(0)); });
    add_selection("heads", "0-1", [](const arguments& given) { return heads(given.head_groups(0)); });
    add_selection("q-heads", "5", [](const arguments& given) { return query_heads(given.head_groups(0)); });
    add_selection("tokens", "0-3", [](const arguments& given) { return tokens(given.indices(0)); });
    add_selection("span", "3-7", [](const arguments& given) { return detail::span_of<only_span>(given); });
    add_selection("after", "3-7", [](const arguments& given) { return detail::span_of<after_span>(given); });
  }

  void add_halves() {
    const auto values_from = [](const policy_arguments& arguments) {
      arguments.require_count(0, 1);
      return arguments.count() == 0 ? donor::zero() : arguments.donor_at(0);
    };
    add("keys", "keys:other", [=](const policy_arguments& given) { return keys_only(values_from(given)); });
    add("values", "values:other", [=](const policy_arguments& given) { return values_only(values_from(given)); });
  }

  void add_compositions() {
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

  void add_places() {
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

  static maker without_argument(const any_injection_policy& policy) {
    return [policy](const policy_arguments& arguments) {
      arguments.require_count(0, 0);
      return policy;
    };
  }

  registry<entry> makers_{"injection policy", "name"};
  std::vector<std::string> roles_;
};

}  // namespace kvtransfer
