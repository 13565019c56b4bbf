#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/detail/replaced.hpp"
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
inline injection weighted_sum(const injection& what, double own, const std::vector<weighted_donor>& terms,
                              cache_half half, const std::string& policy) {
  require<value_error>(std::isfinite(own), policy, "weight", "a finite number", formatted("{}", own));
  std::vector<cache_view<>> beside;
  for (const weighted_donor& term : terms) {
    require<value_error>(std::isfinite(term.weight), policy, "weight", "a finite number", formatted("{}", term.weight));
    beside.push_back(donor_beside(term.from, what, policy));
  }
  const slot_marks whole = all_marked(what.kv);
  const auto sum = [&](std::int64_t layer, auto&& part) {
    const at::Tensor mine = part(what.kv.layer(layer));
    const at::ScalarType wide = mine.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    at::Tensor total = mine.to(wide).mul(own);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      total = total.add(part(beside[i].layer(layer)).to(wide), terms[i].weight);
    }
    const at::Tensor held = whole[static_cast<std::size_t>(layer)].tensor(mine.device());
    return total.to(mine.scalar_type()).where(held, mine);
  };
  const auto keys_of = [](const layer_view<>& layer) { return layer.keys(); };
  const auto values_of = [](const layer_view<>& layer) { return layer.values(); };
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < what.kv.layers(); ++i) {
    const layer_view<>& layer = what.kv.layer(i);
    keys.push_back(half == cache_half::values ? view_access::canonical_keys(layer) : sum(i, keys_of));
    values.push_back(half == cache_half::keys ? layer.values() : sum(i, values_of));
  }
  moving_frames frames =
      half == cache_half::values ? view_access::frames(what.kv) : moving_frames::settled(what.kv.frame());
  frames.edit([&](cache_frame& frame) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
      note_donor(frame, beside[i].frame(), half);
      const std::string origin =
          fmt::format("{} times it and {} times {}", own, terms[i].weight, origin_text(terms[i].from, beside[i]));
      note_edit(frame, {edit_kind::blend, half, {}, {}, {}, origin}, whole);
    }
  });
  injection changed = what;
  changed.kv = view_access::view(keys, values, std::move(frames), what.kv.layout());
  return changed;
}

/// `blend:0.5:other.keys`
inline std::string weighted_text(std::string_view name, double weight, const donor& from, cache_half half) {
  return fmt::format("{}:{}:{}{}", name, weight, from.role(),
                     half == cache_half::both ? "" : fmt::format(".{}", name_of(half)));
}

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
  [[nodiscard]] injection apply(const injection& what) const {
    return detail::weighted_sum(what, alpha, {{1 - alpha, other}}, half, text());
  }
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
  [[nodiscard]] injection apply(const injection& what) const {
    return detail::weighted_sum(what, 1, {{alpha, direction}}, half, text());
  }
};

/// The mean of the source and of donors, all with the same weight. Refuses as `blend` does.
struct average {
  std::vector<donor> others;  ///< at least one
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `average:target,other`
  [[nodiscard]] std::string text() const {
    std::vector<std::string> named;
    for (const donor& other : others) {
      named.push_back(other.role());
    }
    return fmt::format("average:{}", fmt::join(named, ","));
  }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const {
    std::vector<std::string> all;
    for (const donor& other : others) {
      for (std::string& role : other.roles()) {
        all.push_back(std::move(role));
      }
    }
    return all;
  }
  /// @throws value_error without a donor; shape_error, frame_error unless each has a key of the same model beside each
  /// of the source
  [[nodiscard]] injection apply(const injection& what) const {
    require<value_error>(!others.empty(), "average", "donors", "at least one", "none");
    const double share = 1.0 / static_cast<double>(others.size() + 1);
    std::vector<detail::weighted_donor> terms;
    for (const donor& other : others) {
      terms.push_back({share, other});
    }
    return detail::weighted_sum(what, share, terms, cache_half::both, text());
  }
};

static_assert(InjectionPolicy<blend> && InjectionPolicy<add> && InjectionPolicy<average>);

/// What leads from one cache to another, `to` − `from`, for `add`: keys as they stand in `to`, to where those of `from`
/// are moved first. @throws shape_error, frame_error unless `from` has a key of the same model beside each of `to`
[[nodiscard]] inline cache_view<> direction(const cache_view<>& from, const cache_view<>& to) {
  return add{-1, from}.apply(injection(to)).kv;
}

}  // namespace compose

}  // namespace kvtransfer
