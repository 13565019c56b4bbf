// Which types are selections and injection policies, which only look like one, and what `|` composes.

#include <concepts>
#include <string>
#include <type_traits>

#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/keys_values.hpp"
#include "kvtransfer/inject/place_keys.hpp"
#include "kvtransfer/inject/select/heads.hpp"
#include "kvtransfer/inject/select/layers.hpp"
#include "kvtransfer/inject/select/tokens.hpp"

namespace kvtransfer::test::lookalikes {

struct own_selection {
  std::string text() const;
  slot_predicate chosen_in(const injection& what) const;
};

struct silent_selection {
  slot_predicate chosen_in(const injection& what) const;
};

struct deciding_selection {
  std::string text() const;
  bool chosen_in(const injection& what) const;
};

struct own_injection {
  policy_kind kind() const;
  std::string text() const;
  injection apply(const injection& what) const;
};

struct kindless_injection {
  std::string text() const;
  injection apply(const injection& what) const;
};

struct changing_injection {
  policy_kind kind() const;
  std::string text() const;
  injection apply(injection& what) const;
};

struct hollow_injection {
  policy_kind kind() const;
  std::string text() const;
  cache_view<> apply(const injection& what) const;
};

struct unique_injection {
  unique_injection(const unique_injection&) = delete;
  policy_kind kind() const;
  std::string text() const;
  injection apply(const injection& what) const;
};

static_assert(SlotSelection<layers> && SlotSelection<heads> && SlotSelection<query_heads> && SlotSelection<tokens>);
static_assert(SlotSelection<only_span> && SlotSelection<after_span> && SlotSelection<any_slot_selection>);
static_assert(SlotSelection<own_selection>);
static_assert(!SlotSelection<silent_selection>);
static_assert(!SlotSelection<deciding_selection>);
static_assert(!SlotSelection<place::gap>);
static_assert(!SlotSelection<selected>);

static_assert(InjectionPolicy<selected> && InjectionPolicy<keys_only> && InjectionPolicy<values_only>);
static_assert(InjectionPolicy<place::kept> && InjectionPolicy<place::closed> && InjectionPolicy<place::shift>);
static_assert(InjectionPolicy<compose::blend> && InjectionPolicy<compose::add> && InjectionPolicy<compose::average>);
static_assert(InjectionPolicy<compose::prepend> && InjectionPolicy<compose::insert>);
static_assert(InjectionPolicy<any_injection_policy>);
static_assert(InjectionPolicy<own_injection>);
static_assert(!InjectionPolicy<kindless_injection>);
static_assert(!InjectionPolicy<changing_injection>);
static_assert(!InjectionPolicy<hollow_injection>);
static_assert(!InjectionPolicy<unique_injection>);
static_assert(!InjectionPolicy<layers>);
static_assert(!InjectionPolicy<place::gap>);
static_assert(!InjectionPolicy<injection>);

template <class First, class Second>
concept Composable = requires(const First& first, const Second& second) { first | second; };

static_assert(Composable<cache_view<>, layers> && Composable<cache_view<>, place::gap>);
static_assert(Composable<injection, own_injection> && Composable<injection, own_selection>);
static_assert(Composable<layers, place::gap> && Composable<any_injection_policy, keys_only>);
static_assert(!Composable<cache_view<>, kindless_injection>);
static_assert(!Composable<layers, cache_view<>>);
static_assert(!Composable<cache_view<>, donor>);
static_assert(!Composable<layers, int>);
static_assert(!Composable<std::string, layers>);

static_assert(std::is_convertible_v<own_selection, any_injection_policy>);
static_assert(std::is_convertible_v<place::gap, any_injection_policy>);
static_assert(!std::is_convertible_v<kindless_injection, any_injection_policy>);
static_assert(!std::is_convertible_v<cache_view<>, injection>);  // a cache is no injection by accident
static_assert(std::is_constructible_v<injection, cache_view<>>);

}  // namespace kvtransfer::test::lookalikes
