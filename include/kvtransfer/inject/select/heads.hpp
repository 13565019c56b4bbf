#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

/// Heads of one layer, or of every layer.
struct head_group {
  std::optional<std::int64_t> layer;  ///< nothing: of every layer
  index_ranges heads;                 ///< counted from 0

  /// Whether a head of a layer is among them.
  [[nodiscard]] bool contains(std::int64_t index, std::int64_t head) const {
    return layer.value_or(index) == index && heads.contains(head);
  }
  /// `0-1`, or `3.0-1` for those of layer 3.
  [[nodiscard]] std::string text() const {
    std::string text;
    for (const slot_range& range : heads.ranges()) {
      text += fmt::format("{}{}{}", text.empty() ? "" : ",", layer ? fmt::format("{}.", *layer) : "",
                          index_ranges(std::vector{range}).text());
    }
    return text;
  }
};

/// The KV head that serves a query head, and who reads it too.
struct query_head_group {
  std::int64_t kv_head = 0;  ///< under grouped queries fewer than query heads
  slot_range q_heads;        ///< all that read it
};

/// Which KV head serves `q_head`: consecutive query heads share one.
/// @throws value_error unless there is such a head, and query heads share KV heads evenly
[[nodiscard]] inline query_head_group query_heads_with(std::int64_t q_head, std::int64_t q_heads,
                                                       std::int64_t kv_heads) {
  require<value_error>(kv_heads > 0 && q_heads > 0 && q_heads % kv_heads == 0, "query_heads", "q_heads",
                       formatted("a multiple of kv_heads = {} (the context's q_heads)", kv_heads),
                       [&] { return fmt::format("{}", q_heads); });
  require<value_error>(q_head >= 0 && q_head < q_heads, "query_heads", "q_heads", formatted("heads below {}", q_heads),
                       [&] { return fmt::format("{}", q_head); });
  const std::int64_t group = q_heads / kv_heads;
  return {q_head / group, {q_head / group * group, group}};
}

namespace detail {

/// @throws value_error where a group names a layer or a head that is not there
inline void require_heads_known(const std::vector<head_group>& groups, const injection& what, std::string_view policy,
                                std::string_view name, std::optional<std::int64_t> heads) {
  for (const head_group& group : groups) {
    if (group.layer) {
      index_ranges(*group.layer, *group.layer).require_below(what.kv.layers(), policy, "layers");
    }
    for (std::int64_t i = 0; i < what.kv.layers(); ++i) {
      if (group.layer.value_or(i) == i) {
        group.heads.require_below(heads.value_or(what.kv.layer(i).extents().kv_heads), policy, name);
      }
    }
  }
}

inline std::string text_of(const std::vector<head_group>& groups) {
  std::string text;
  for (const head_group& group : groups) {
    text.append(text.empty() ? "" : ",").append(group.text());
  }
  return text;
}

/// Those of every layer in front, then layer by layer; heads of one layer together.
/// @throws value_error where a head is named twice, or none is
inline std::vector<head_group> in_order(std::vector<head_group> groups) {
  require<value_error>(!groups.empty(), "heads", "heads", "at least one", "none");
  std::ranges::stable_sort(groups, {}, &head_group::layer);
  std::vector<head_group> merged;
  for (const head_group& group : groups) {
    if (merged.empty() || merged.back().layer != group.layer) {
      merged.push_back(group);
      continue;
    }
    std::vector<slot_range> both = merged.back().heads.ranges();
    both.insert(both.end(), group.heads.ranges().begin(), group.heads.ranges().end());
    merged.back().heads = index_ranges(std::move(both));
  }
  return merged;
}

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
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const {
    detail::require_heads_known(groups_, what, text(), "KV heads", std::nullopt);
    return [groups = groups_](const slot_address& key) {
      return std::ranges::any_of(groups,
                                 [&](const head_group& group) { return group.contains(key.layer, key.kv_head); });
    };
  }

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
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const {
    const std::int64_t q_heads = what.context.q_heads;
    require<value_error>(q_heads > 0, text(), "q_heads", "a context that tells how many the model has", "none");
    detail::require_heads_known(groups_, what, text(), "query heads", q_heads);
    std::vector<std::int64_t> group_sizes;
    for (std::int64_t i = 0; i < what.kv.layers(); ++i) {
      group_sizes.push_back(query_heads_with(0, q_heads, what.kv.layer(i).extents().kv_heads).q_heads.count);
    }
    return [groups = groups_, group_sizes = std::move(group_sizes)](const slot_address& key) {
      const std::int64_t size = group_sizes[static_cast<std::size_t>(key.layer)];
      for (std::int64_t head = key.kv_head * size; head < (key.kv_head + 1) * size; ++head) {
        if (std::ranges::any_of(groups, [&](const head_group& group) { return group.contains(key.layer, head); })) {
          return true;
        }
      }
      return false;
    };
  }

  /// `query head 5 reads KV head 2, as do query heads 4-7`, of all that are named.
  [[nodiscard]] std::string note(const injection& what) const {
    std::string text;
    for (const head_group& group : groups_) {
      const std::int64_t q_heads = what.context.q_heads;
      const std::int64_t kv_heads = what.kv.layer(group.layer.value_or(0)).extents().kv_heads;
      for (std::int64_t head = 0; head < q_heads; ++head) {
        if (!group.heads.contains(head)) {
          continue;
        }
        const query_head_group served = query_heads_with(head, q_heads, kv_heads);
        text += fmt::format("{}query head {}{} reads KV head {}", text.empty() ? "" : "; ", head,
                            group.layer ? fmt::format(" of layer {}", *group.layer) : "", served.kv_head);
        text += served.q_heads.count == 1
                    ? ""
                    : fmt::format(", as do all of query heads {}-{}", served.q_heads.begin, served.q_heads.end() - 1);
      }
    }
    return text;
  }

 private:
  std::vector<head_group> groups_;
};

static_assert(SlotSelection<heads> && SlotSelection<query_heads>);

}  // namespace kvtransfer
