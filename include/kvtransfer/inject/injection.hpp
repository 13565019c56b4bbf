#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer {

namespace detail {

/// The row of `source` that reaches furthest in any layer and head: what the new text has to come after.
position_row furthest_row(const cache_frame& source, std::int64_t batch);

/// The same of every sequence.
std::vector<position_row> furthest_rows(const cache_view<>& source);

}  // namespace detail

/// A policy that has been applied, as results tell of it.
struct applied_policy {
  policy_kind kind = policy_kind::selects;  ///< what it decided
  std::string text;                         ///< as a command line spells it
};

/// What is about to be put in front of a text: a cache, with what policies have made of it, and where the text will
/// stand. Non-owning as the views that it holds; `prepend` makes a plan of it.
///
/// What a selection leaves out is padding in `kv`, so that every slot keeps its number for the policies that follow;
/// the plan does without it. Where the text goes is decided by `reach`, which selections leave as it is: a policy that
/// narrows an injection changes nothing else.
struct injection {
  /// All of `source`, where it stands.
  explicit injection(const cache_view<>& source, injection_context known = {})
      : kv(source), reach(detail::furthest_rows(source)), context(std::move(known)) {}

  cache_view<> kv;                                   ///< what is injected
  std::vector<position_row> reach;                   ///< a row per sequence: what the text has to come after
  any_position_policy text_place = place::offset{};  ///< where the text stands, given `reach`
  injection_context context;                         ///< what policies look up
  std::vector<applied_policy> applied = {};          ///< in order
  std::vector<std::string> notes = {};               ///< what policies have to say of themselves, for results
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/injection.ipp"  // IWYU pragma: export
#endif
