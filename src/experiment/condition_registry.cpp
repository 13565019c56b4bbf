#include "kvtransfer/experiment/condition_registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/conditions.hpp"

namespace kvtransfer {

condition_registry condition_registry::standard() {
  condition_registry registry;
  registry.add(conditions::baseline());
  registry.add(conditions::text_oracle());
  registry.add(conditions::same_cache());
  registry.add(conditions::noise());
  registry.add(conditions::transfer());
  registry.add(conditions::as_reported_same_cache());
  registry.add(conditions::as_reported_transfer());
  return registry;
}

void condition_registry::add(any_condition condition) {
  std::string id = condition.describe().id;
  conditions_.add(std::move(id), std::move(condition));
}

std::vector<any_condition> condition_registry::parse(std::string_view list) const {
  std::set<std::string, std::less<>> named;
  for (std::size_t begin = 0; list != "all" && begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    const std::string_view id = list.substr(begin, comma - begin);
    if (!conditions_.contains(id)) {
      fail<value_error>("conditions", "name", fmt::format("all, or some of {}", fmt::join(ids(), ", ")),
                        fmt::format("\"{}\"", id));
    }
    named.emplace(id);
    begin = comma + 1;
  }
  std::vector<any_condition> chosen;
  for (const auto& each : conditions_) {
    if (list == "all" || named.contains(each.name)) {
      chosen.push_back(each.make);
    }
  }
  return chosen;
}

}  // namespace kvtransfer
