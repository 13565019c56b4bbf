#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/select/selected.hpp"

namespace kvtransfer {

namespace detail {

/// A position policy as what it is here: it says where the text stands.
struct text_placement {
  any_position_policy policy;

  [[nodiscard]] policy_kind kind() const { return policy_kind::places_text; }
  [[nodiscard]] std::string text() const { return policy.text(); }
  [[nodiscard]] injection apply(const injection& what) const;
};

/// What is decided once at most, as complaints call it; empty for what may be said again.
constexpr std::string_view decision(policy_kind kind) {
  switch (kind) {
    case policy_kind::halves:
      return "one half from another cache";
    case policy_kind::places_keys:
      return "one place for the keys";
    case policy_kind::places_text:
      return "one place for the text";
    default:
      return "";
  }
}

}  // namespace detail

/// A policy chosen at run time, or several in order: what `|` makes of policies, and what a text says. Without any it
/// injects everything as it is.
class any_injection_policy {
 public:
  /// Everything as it is: `all`.
  any_injection_policy() = default;

  /// Takes any policy, by value.
  template <class Policy>
    requires(!std::same_as<Policy, any_injection_policy>) && InjectionPolicy<Policy>
  any_injection_policy(Policy policy)  // NOLINT(google-explicit-constructor): a policy is a policy
      : steps_{step_of(std::move(policy))} {}

  /// Likewise: where the text stands.
  template <class Policy>
    requires(!std::same_as<Policy, any_injection_policy>) && PositionPolicy<Policy> && (!InjectionPolicy<Policy>)
  any_injection_policy(Policy policy)  // NOLINT(google-explicit-constructor): a policy is a policy
      : steps_{step_of(detail::text_placement{any_position_policy(policy)})} {
    steps_.front().text_place = std::move(policy);
  }

  /// Likewise: what it names is kept.
  template <class Selection>
    requires(!std::same_as<Selection, any_injection_policy>) && SlotSelection<Selection> &&
            (!InjectionPolicy<Selection>)
  any_injection_policy(Selection selection)  // NOLINT(google-explicit-constructor): a selection keeps what it names
      : any_injection_policy(selected(std::move(selection))) {}

  /// What the one policy decides; `several` where there are more, or none.
  [[nodiscard]] policy_kind kind() const { return steps_.size() == 1 ? steps_[0].kind : policy_kind::several; }

  /// As a command line spells it: `layers:2-4+keys+gap:16`.
  [[nodiscard]] std::string text() const;

  /// Donors that the context has to supply, each once: a program need not make the others.
  [[nodiscard]] std::vector<std::string> roles() const { return listed(&step::roles); }
  /// Spans that the context has to supply, each once.
  [[nodiscard]] std::vector<std::string> spans() const { return listed(&step::spans); }

  /// Where the text will stand, if one of the policies says so.
  [[nodiscard]] std::optional<any_position_policy> text_place() const;

  /// Applies one policy after the other.
  /// @throws value_error where what was applied before has decided the same, and what the policies throw
  [[nodiscard]] injection apply(const injection& what) const;

  /// These policies, then those of `next`; where the text stands is said last.
  /// @throws value_error where both decide the same
  [[nodiscard]] any_injection_policy followed_by(const any_injection_policy& next) const;

 private:
  struct step {
    policy_kind kind;
    std::string text;
    std::vector<std::string> roles;
    std::vector<std::string> spans;
    std::optional<any_position_policy> text_place;
    std::function<injection(const injection&)> apply;
  };

  template <InjectionPolicy Policy>
  static step step_of(Policy policy) {
    step made{policy.kind(), policy.text(), {}, {}, std::nullopt, {}};
    if constexpr (requires { policy.roles(); }) {
      made.roles = policy.roles();
    }
    if constexpr (requires { policy.spans(); }) {
      made.spans = policy.spans();
    }
    made.apply = [policy = std::move(policy)](const injection& what) { return policy.apply(what); };
    return made;
  }

  static void require_first(const step& second, std::string_view earlier);

  [[nodiscard]] std::vector<std::string> listed(std::vector<std::string> step::* names) const;

  std::vector<step> steps_;
};

static_assert(InjectionPolicy<any_injection_policy>);

/// Whatever `|` composes: an injection policy, a position policy or a selection.
template <class T>
concept ComposablePolicy = InjectionPolicy<T> || PositionPolicy<T> || SlotSelection<T>;

/// Changes what is injected: `source.view() | layers(2, 4) | keys_only(other.view()) | place::gap{16}`.
/// @throws value_error where two policies decide the same, and what the policy throws
template <ComposablePolicy Policy>
[[nodiscard]] injection operator|(const injection& what, const Policy& policy) {
  return any_injection_policy(policy).apply(what);
}

/// Likewise, of a whole cache where it stands.
template <ComposablePolicy Policy>
[[nodiscard]] injection operator|(const cache_view<>& source, const Policy& policy) {
  return injection(source) | policy;
}

/// One policy after the other, to be applied later. @throws value_error where both decide the same
template <ComposablePolicy First, ComposablePolicy Second>
[[nodiscard]] any_injection_policy operator|(const First& first, const Second& second) {
  return any_injection_policy(first).followed_by(any_injection_policy(second));
}

/// As a command line spells it.
[[nodiscard]] inline std::string describe(const any_injection_policy& policy) { return policy.text(); }

/// The policies that made it, as a command line spells them.
[[nodiscard]] std::string describe(const injection& what);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/any_injection_policy.ipp"  // IWYU pragma: export
#endif
