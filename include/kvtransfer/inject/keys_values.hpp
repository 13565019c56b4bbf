#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

namespace detail {

/// The injection with one half of all that is there from a donor.
injection with_half_of(const injection& what, const donor& from, cache_half half, const std::string& policy);

/// `keys`, `keys:other`: the default goes without saying.
std::string half_text(std::string_view name, const donor& from);

}  // namespace detail

/// The source's keys alone: to what a query attends, with nothing of the source in what it then reads. A key without a
/// value is nothing, so values come from a donor, slot by slot; zeros where none is named.
class keys_only {
 public:
  /// @param values where values come from
  explicit keys_only(donor values = donor::zero()) : values_(std::move(values)) {}
  /// @return `policy_kind::halves`
  [[nodiscard]] policy_kind kind() const { return policy_kind::halves; }
  /// `keys` with zeros for values, `keys:other`
  [[nodiscard]] std::string text() const { return detail::half_text("keys", values_); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return values_.roles(); }
  /// @throws shape_error, frame_error unless the donor has a slot of the same model beside each of the source
  [[nodiscard]] injection apply(const injection& what) const;

 private:
  donor values_;
};

/// The source's values alone: what a query reads, with nothing of the source in where it looks. Keys come from a donor,
/// moved to where the source's stand; zeros where none is named, to which every query attends alike.
class values_only {
 public:
  /// @param keys where keys come from
  explicit values_only(donor keys = donor::zero()) : keys_(std::move(keys)) {}
  /// @return `policy_kind::halves`
  [[nodiscard]] policy_kind kind() const { return policy_kind::halves; }
  /// `values` with zeros for keys, `values:other`
  [[nodiscard]] std::string text() const { return detail::half_text("values", keys_); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return keys_.roles(); }
  /// @throws shape_error, frame_error unless the donor has a slot of the same model beside each of the source
  [[nodiscard]] injection apply(const injection& what) const;

 private:
  donor keys_;
};

static_assert(InjectionPolicy<keys_only> && InjectionPolicy<values_only>);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/keys_values.ipp"  // IWYU pragma: export
#endif
