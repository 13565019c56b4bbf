#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

namespace detail {

/// One term of a weighted sum.
struct weighted_donor {
  double weight = 0;
  donor from;
};

/// `own` times what is injected plus the terms, number by number; padding stays as it is. Differentiable. Sums of half
/// precision are made in single.
injection weighted_sum(const injection& what, double own, const std::vector<weighted_donor>& terms, cache_half half,
                       const std::string& policy);

/// `blend:0.5:other.keys`
std::string weighted_text(std::string_view name, double weight, const donor& from, cache_half half);

}  // namespace detail

/// How other caches come in: number by number here, as slots of their own in `join.hpp`.
namespace compose {

/// `alpha` times the source plus 1 − `alpha` times a donor, whose keys are moved to where the source's stand first: at
/// 1 the source, at 0 the donor, between them a dose. Caches of other lengths, with padding elsewhere or of another
/// model are refused.
struct blend {
  double alpha = 1;                    ///< the source's weight, any finite number
  donor other = donor::zero();         ///< what it is blended with
  cache_half half = cache_half::both;  ///< whether keys, values or both are
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `blend:0.5:other`, `blend:0.5:other.values`
  [[nodiscard]] std::string text() const { return detail::weighted_text("blend", alpha, other, half); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return other.roles(); }
  /// @throws shape_error, frame_error unless the donor has a key of the same model beside each of the source
  [[nodiscard]] injection apply(const injection& what) const;
};

/// The source plus `alpha` times a direction: another cache's numbers, or the difference of two (`direction`), moved to
/// where the source's keys stand first. Refuses as `blend` does.
struct add {
  double alpha = 1;                    ///< the direction's weight, any finite number
  donor direction = donor::zero();     ///< what is added
  cache_half half = cache_half::both;  ///< whether to keys, values or both
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `add:0.5:other`, `add:0.5:other.values`
  [[nodiscard]] std::string text() const { return detail::weighted_text("add", alpha, direction, half); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return direction.roles(); }
  /// @throws shape_error, frame_error unless the direction has a key of the same model beside each of the source
  [[nodiscard]] injection apply(const injection& what) const;
};

/// The mean of the source and of donors, all with the same weight. Refuses as `blend` does.
struct average {
  std::vector<donor> others;  ///< at least one
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `average:target,other`
  [[nodiscard]] std::string text() const;
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const;
  /// @throws value_error without a donor; shape_error, frame_error unless each has a key of the same model beside each
  /// of the source
  [[nodiscard]] injection apply(const injection& what) const;
};

static_assert(InjectionPolicy<blend> && InjectionPolicy<add> && InjectionPolicy<average>);

/// What leads from one cache to another, `to` − `from`, for `add`: keys as they stand in `to`, to where those of `from`
/// are moved first. @throws shape_error, frame_error unless `from` has a key of the same model beside each of `to`
[[nodiscard]] cache_view<> direction(const cache_view<>& from, const cache_view<>& to);

}  // namespace compose

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/compose/detail/blend.ipp"  // IWYU pragma: export
#endif
