#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/replaced.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/keys_values.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE injection with_half_of(const injection& what, const donor& from, cache_half half,
                                         const std::string& policy) {
  injection changed = what;
  const cache_view<> beside = donor_beside(from, what, policy);
  changed.kv = replaced(what.kv, beside, all_marked(what.kv), half, origin_text(from, beside));
  return changed;
}

KVTRANSFER_INLINE std::string half_text(std::string_view name, const donor& from) {
  return from.is_zero() ? std::string(name) : fmt::format("{}:{}", name, from.role());
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE injection keys_only::apply(const injection& what) const {
  return detail::with_half_of(what, values_, cache_half::values, text());
}

KVTRANSFER_INLINE injection values_only::apply(const injection& what) const {
  return detail::with_half_of(what, keys_, cache_half::keys, text());
}

}  // namespace kvtransfer
