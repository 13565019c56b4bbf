#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

/// Heads of one layer, or of every layer.
struct head_group {
  std::optional<std::int64_t> layer;  ///< nothing: of every layer
  index_ranges heads;                 ///< counted from 0

  /// Whether a head of a layer is among them.
  [[nodiscard]] bool contains(std::int64_t index, std::int64_t head) const;
  /// `0-1`, or `3.0-1` for those of layer 3.
  [[nodiscard]] std::string text() const;
};

/// The KV head that serves a query head, and who reads it too.
struct query_head_group {
  std::int64_t kv_head = 0;  ///< under grouped queries fewer than query heads
  slot_range q_heads;        ///< all that read it
};

/// Which KV head serves `q_head`: consecutive query heads share one.
/// @throws value_error unless there is such a head, and query heads share KV heads evenly
[[nodiscard]] query_head_group query_heads_with(std::int64_t q_head, std::int64_t q_heads, std::int64_t kv_heads);

namespace detail {

/// @throws value_error where a group names a layer or a head that is not there
void require_heads_known(const std::vector<head_group>& groups, const injection& what, std::string_view policy,
                         std::string_view name, std::optional<std::int64_t> heads);

std::string text_of(const std::vector<head_group>& groups);

/// Those of every layer in front, then layer by layer; heads of one layer together.
/// @throws value_error where a head is named twice, or none is
std::vector<head_group> in_order(std::vector<head_group> groups);

}  // namespace detail

/// KV heads, in every layer or in one: what attention keeps, so what can be injected. Head numbers of papers and of
/// other tools are mostly those of queries: see `query_heads`.
class heads {
 public:
  /// `first` to `last` of every layer, both included. @throws value_error unless 0 <= first <= last
  heads(std::int64_t first, std::int64_t last) : groups_{{std::nullopt, index_ranges(first, last)}} {}
  /// @throws value_error where a head is named twice
  explicit heads(std::vector<head_group> groups) : groups_(detail::in_order(std::move(groups))) {}

  /// `heads:0-1`, `heads:3.1` for head 1 of layer 3 alone.
  [[nodiscard]] std::string text() const { return fmt::format("heads:{}", detail::text_of(groups_)); }

  /// @throws value_error for a head or a layer past the last
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const;

 private:
  std::vector<head_group> groups_;
};

/// The KV heads that serve these query heads. Who else reads them is affected too, which `note` says. The context has
/// to tell the model's `q_heads`.
class query_heads {
 public:
  /// `first` to `last` of every layer, both included. @throws value_error unless 0 <= first <= last
  query_heads(std::int64_t first, std::int64_t last) : groups_{{std::nullopt, index_ranges(first, last)}} {}
  /// @throws value_error where a head is named twice
  explicit query_heads(std::vector<head_group> groups) : groups_(detail::in_order(std::move(groups))) {}

  /// `q-heads:5`, `q-heads:3.5` for head 5 of layer 3 alone.
  [[nodiscard]] std::string text() const { return fmt::format("q-heads:{}", detail::text_of(groups_)); }

  /// @throws value_error for a head or a layer past the last, or where the context does not tell `q_heads`
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const;

  /// `query head 5 reads KV head 2, as do query heads 4-7`, of all that are named.
  [[nodiscard]] std::string note(const injection& what) const;

 private:
  std::vector<head_group> groups_;
};

static_assert(SlotSelection<heads> && SlotSelection<query_heads>);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/select/detail/heads.ipp"  // IWYU pragma: export
#endif
