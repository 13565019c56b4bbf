#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/select/heads.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE bool head_group::contains(std::int64_t index, std::int64_t head) const {
  return layer.value_or(index) == index && heads.contains(head);
}

KVTRANSFER_INLINE std::string head_group::text() const {
  std::string text;
  for (const slot_range& range : heads.ranges()) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ",", layer ? fmt::format("{}.", *layer) : "",
                        index_ranges(std::vector{range}).text());
  }
  return text;
}

KVTRANSFER_INLINE query_head_group query_heads_with(std::int64_t q_head, std::int64_t q_heads, std::int64_t kv_heads) {
  require<value_error>(kv_heads > 0 && q_heads > 0 && q_heads % kv_heads == 0, "query_heads", "q_heads",
                       formatted("a multiple of kv_heads = {} (the context's q_heads)", kv_heads),
                       [&] { return fmt::format("{}", q_heads); });
  require<value_error>(q_head >= 0 && q_head < q_heads, "query_heads", "q_heads", formatted("heads below {}", q_heads),
                       [&] { return fmt::format("{}", q_head); });
  const std::int64_t group = q_heads / kv_heads;
  return {q_head / group, {q_head / group * group, group}};
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_heads_known(const std::vector<head_group>& groups, const injection& what,
                                           std::string_view policy, std::string_view name,
                                           std::optional<std::int64_t> heads) {
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

KVTRANSFER_INLINE std::string text_of(const std::vector<head_group>& groups) {
  std::string text;
  for (const head_group& group : groups) {
    text.append(text.empty() ? "" : ",").append(group.text());
  }
  return text;
}

KVTRANSFER_INLINE std::vector<head_group> in_order(std::vector<head_group> groups) {
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

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE slot_predicate heads::chosen_in(const injection& what) const {
  detail::require_heads_known(groups_, what, text(), "KV heads", std::nullopt);
  return [groups = groups_](const slot_address& key) {
    return std::ranges::any_of(groups, [&](const head_group& group) { return group.contains(key.layer, key.kv_head); });
  };
}

KVTRANSFER_INLINE slot_predicate query_heads::chosen_in(const injection& what) const {
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

KVTRANSFER_INLINE std::string query_heads::note(const injection& what) const {
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

}  // namespace kvtransfer
