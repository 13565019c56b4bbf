#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/donor.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::vector<std::string> donor::roles() const {
  return cache_ || is_zero() ? std::vector<std::string>{} : std::vector{role_};
}

KVTRANSFER_INLINE cache_view<> donor::find(const injection_context& context, std::string_view policy) const {
  if (cache_) {
    return *cache_;
  }
  require<value_error>(!is_zero(), policy, "donor", "a cache, as zeros have no length", role_);
  const auto found = context.donors.find(role_);
  if (found == context.donors.end()) {
    std::vector<std::string> known{std::string(zero_role)};
    for (const auto& [role, cache] : context.donors) {
      known.push_back(role);
    }
    fail<value_error>(policy, "donor", fmt::format("one of {}", fmt::join(known, ", ")), role_);
  }
  return found->second;
}

}  // namespace kvtransfer
