#pragma once

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/detail/replaced.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE injection weighted_sum(const injection& what, double own, const std::vector<weighted_donor>& terms,
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
    const at::ScalarType wide = at::toOpMathType(mine.scalar_type());
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

KVTRANSFER_INLINE std::string weighted_text(std::string_view name, double weight, const donor& from, cache_half half) {
  return fmt::format("{}:{}:{}{}", name, weight, from.role(),
                     half == cache_half::both ? "" : fmt::format(".{}", name_of(half)));
}

}  // namespace kvtransfer::detail

namespace kvtransfer::compose {

KVTRANSFER_INLINE injection blend::apply(const injection& what) const {
  return detail::weighted_sum(what, alpha, {{1 - alpha, other}}, half, text());
}

KVTRANSFER_INLINE injection add::apply(const injection& what) const {
  return detail::weighted_sum(what, 1, {{alpha, direction}}, half, text());
}

KVTRANSFER_INLINE std::string average::text() const {
  std::vector<std::string> named;
  for (const donor& other : others) {
    named.push_back(other.role());
  }
  return fmt::format("average:{}", fmt::join(named, ","));
}

KVTRANSFER_INLINE std::vector<std::string> average::roles() const {
  std::vector<std::string> all;
  for (const donor& other : others) {
    for (std::string& role : other.roles()) {
      all.push_back(std::move(role));
    }
  }
  return all;
}

KVTRANSFER_INLINE injection average::apply(const injection& what) const {
  require<value_error>(!others.empty(), "average", "donors", "at least one", "none");
  const double share = 1.0 / static_cast<double>(others.size() + 1);
  std::vector<detail::weighted_donor> terms;
  for (const donor& other : others) {
    terms.push_back({share, other});
  }
  return detail::weighted_sum(what, share, terms, cache_half::both, text());
}

KVTRANSFER_INLINE cache_view<> direction(const cache_view<>& from, const cache_view<>& to) {
  return add{-1, from}.apply(injection(to)).kv;
}

}  // namespace kvtransfer::compose
