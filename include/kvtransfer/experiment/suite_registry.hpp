#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer {

/// The suites that a program knows by name. A program adds its own and passes the registry on.
class suite_registry {
 public:
  /// Makes a suite.
  using maker = suite (*)();

  /// The library's own: recall, matched_pairs, stalling, modes.
  [[nodiscard]] static suite_registry standard();

  /// Adds a suite under a name. @throws value_error if that is empty or taken
  void add(std::string name, maker make) { suites_.add(std::move(name), make); }

  /// All names.
  [[nodiscard]] std::vector<std::string> names() const { return suites_.names(); }

  /// The first suite in the order in which they were added: a name and what makes it.
  [[nodiscard]] auto begin() const { return suites_.begin(); }
  /// Past the last one.
  [[nodiscard]] auto end() const { return suites_.end(); }

  /// The suite that a command line asks for: a name or a file, and behind colons what of it is wanted: a variant, and
  /// how many tests, the first ones. `recall`, `recall:80`, `stalling:raw`, `mine.json:10`.
  /// @throws value_error for a name that there is not, an unknown variant, or more tests than there are; as
  /// `read_suite`
  [[nodiscard]] suite open(std::string_view wanted) const;

 private:
  registry<maker> suites_{"suite", "name"};
};

}  // namespace kvtransfer
