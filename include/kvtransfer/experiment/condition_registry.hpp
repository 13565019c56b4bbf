#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/conditions/as_reported_same_cache.hpp"
#include "kvtransfer/experiment/conditions/as_reported_transfer.hpp"
#include "kvtransfer/experiment/conditions/baseline.hpp"
#include "kvtransfer/experiment/conditions/noise.hpp"
#include "kvtransfer/experiment/conditions/same_cache.hpp"
#include "kvtransfer/experiment/conditions/text_oracle.hpp"
#include "kvtransfer/experiment/conditions/transfer.hpp"

namespace kvtransfer {

/// The conditions that a program knows, in the order in which tables show them. A program adds its own and passes the
/// registry on.
class condition_registry {
 public:
  /// The library's own seven.
  static condition_registry standard() {
    condition_registry registry;
    registry.add(conditions::baseline{});
    registry.add(conditions::text_oracle{});
    registry.add(conditions::same_cache{});
    registry.add(conditions::noise{});
    registry.add(conditions::transfer{});
    registry.add(conditions::as_reported_same_cache{});
    registry.add(conditions::as_reported_transfer{});
    return registry;
  }

  /// @throws value_error if the id is taken
  void add(any_condition condition) {
    const std::string id = condition.describe().id;
    require<value_error>(find(id) == conditions_.end(), "condition_registry", "id", "one that is free", id);
    conditions_.push_back(std::move(condition));
  }

  std::vector<std::string> ids() const {
    std::vector<std::string> all;
    std::transform(conditions_.begin(), conditions_.end(), std::back_inserter(all),
                   [](const auto& each) { return each.describe().id; });
    return all;
  }

  /// The conditions that a comma-separated list names, in the registry's order; `all` names every one.
  /// @throws value_error for an unknown or an empty name, listing the known ones
  std::vector<any_condition> parse(std::string_view list) const {
    if (list == "all") {
      return conditions_;
    }
    std::vector<bool> wanted(conditions_.size(), false);
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t comma = std::min(list.find(',', begin), list.size());
      const std::string id(list.substr(begin, comma - begin));
      const auto found = find(id);
      if (found == conditions_.end()) {
        fail<value_error>("conditions", "name", fmt::format("all, or some of {}", fmt::join(ids(), ", ")),
                          fmt::format("\"{}\"", id));
      }
      wanted[static_cast<std::size_t>(found - conditions_.begin())] = true;
      begin = comma + 1;
    }
    std::vector<any_condition> chosen;
    for (std::size_t i = 0; i < conditions_.size(); ++i) {
      if (wanted[i]) {
        chosen.push_back(conditions_[i]);
      }
    }
    return chosen;
  }

 private:
  std::vector<any_condition>::const_iterator find(std::string_view id) const {
    return std::find_if(conditions_.begin(), conditions_.end(),
                        [&](const auto& each) { return each.describe().id == id; });
  }

  std::vector<any_condition> conditions_;
};

}  // namespace kvtransfer
