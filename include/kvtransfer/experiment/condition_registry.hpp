#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/experiment/any_condition.hpp"

namespace kvtransfer {

/// The conditions that a program knows, by their ids, in the order in which tables show them. A program adds its own
/// and passes the registry on.
class condition_registry {
 public:
  /// The library's own seven.
  [[nodiscard]] static condition_registry standard();

  /// Adds a condition under its id. @throws value_error if that is taken
  void add(any_condition condition);

  /// All ids, in the order of tables.
  [[nodiscard]] std::vector<std::string> ids() const { return conditions_.names(); }

  /// The conditions that a comma-separated list names, in the registry's order; `all` names every one.
  /// @throws value_error for an unknown or an empty name, listing the known ones
  [[nodiscard]] std::vector<any_condition> parse(std::string_view list) const;

 private:
  registry<any_condition> conditions_{"conditions", "id"};
};

}  // namespace kvtransfer
