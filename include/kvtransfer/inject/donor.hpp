#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// What policies may refer to by name, and a source does not tell: who runs them supplies it.
struct injection_context {
  std::int64_t q_heads = 0;                                      ///< of the model; 0 where nobody has said
  std::map<std::string, cache_view<>, std::less<>> donors = {};  ///< other caches by role: `target`, `other`, …
  std::map<std::string, slot_range, std::less<>> spans = {};     ///< parts of the source's text by name
};

/// Another cache that a policy takes something from: one that is given, one that is named by its role and looked up
/// when the policy is applied, or zeros.
class donor {
 public:
  static constexpr std::string_view zero_role = "zero";    ///< The role of zeros: no cache is needed for them.
  static constexpr std::string_view given_role = "given";  ///< What a cache handed over in code is called.

  /// The cache that has this role where the policy is applied: `donor("other")`. `zero` is always there.
  donor(std::string role) : role_(std::move(role)) {}  // NOLINT(google-explicit-constructor): a role names a donor
  /// Likewise.
  donor(const char* role) : role_(role) {}  // NOLINT(google-explicit-constructor): a role names a donor
  /// This very cache. A text cannot name it, so the policy prints but does not parse.
  donor(const cache_view<>& cache)  // NOLINT(google-explicit-constructor): a cache is a donor
      : role_(given_role), cache_(cache) {}

  /// Zeros in the place of keys or values.
  [[nodiscard]] static donor zero() { return {std::string(zero_role)}; }

  /// As texts and complaints call it.
  [[nodiscard]] const std::string& role() const { return role_; }
  /// Whether it stands for zeros.
  [[nodiscard]] bool is_zero() const { return !cache_ && role_ == zero_role; }
  /// The roles that the context must have: this one, or none.
  [[nodiscard]] std::vector<std::string> roles() const;

  /// The cache meant.
  /// @param policy what errors name
  /// @throws value_error that lists the known roles, where the context lacks this one; for zeros, which are no cache
  [[nodiscard]] cache_view<> find(const injection_context& context, std::string_view policy) const;

 private:
  std::string role_;
  std::optional<cache_view<>> cache_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/donor.ipp"  // IWYU pragma: export
#endif
