#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE injection text_placement::apply(const injection& what) const {
  injection changed = what;
  changed.text_place = policy;
  return changed;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE std::string any_injection_policy::text() const {
  std::string text;
  for (const step& each : steps_) {
    text += (text.empty() ? "" : "+") + each.text;
  }
  return text.empty() ? "all" : text;
}

KVTRANSFER_INLINE std::optional<any_position_policy> any_injection_policy::text_place() const {
  return steps_.empty() ? std::nullopt : steps_.back().text_place;
}

KVTRANSFER_INLINE injection any_injection_policy::apply(const injection& what) const {
  injection changed = what;
  for (const step& each : steps_) {
    const auto earlier = std::ranges::find(what.applied, each.kind, &applied_policy::kind);
    if (earlier != what.applied.end()) {
      require_first(each, earlier->text);
    }
    std::vector<applied_policy> applied = std::move(changed.applied);
    changed = each.apply(changed);
    applied.push_back({each.kind, each.text});
    changed.applied = std::move(applied);
  }
  return changed;
}

KVTRANSFER_INLINE any_injection_policy any_injection_policy::followed_by(const any_injection_policy& next) const {
  any_injection_policy both = *this;
  for (const step& each : next.steps_) {
    if (const auto earlier = std::ranges::find(both.steps_, each.kind, &step::kind); earlier != both.steps_.end()) {
      require_first(each, earlier->text);
    }
    const bool placed = !both.steps_.empty() && both.steps_.back().kind == policy_kind::places_text;
    both.steps_.insert(both.steps_.end() - (placed ? 1 : 0), each);
  }
  return both;
}

KVTRANSFER_INLINE void any_injection_policy::require_first(const step& second, std::string_view earlier) {
  const std::string_view once = detail::decision(second.kind);
  require<value_error>(once.empty(), "injection policy", second.text, once,
                       formatted("a second one behind {}", earlier));
}

KVTRANSFER_INLINE std::vector<std::string> any_injection_policy::listed(std::vector<std::string> step::* names) const {
  std::vector<std::string> all;
  for (const step& each : steps_) {
    for (const std::string& name : each.*names) {
      if (std::ranges::find(all, name) == all.end()) {
        all.push_back(name);
      }
    }
  }
  return all;
}

KVTRANSFER_INLINE std::string describe(const injection& what) {
  std::string text;
  for (const applied_policy& each : what.applied) {
    text += (text.empty() ? "" : "+") + each.text;
  }
  return text.empty() ? "all" : text;
}

}  // namespace kvtransfer
