#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"

namespace kvtransfer {

/// The conditions that a program knows, by their ids, in the order in which tables show them, and the policies that may
/// narrow them. A program adds its own, which satisfies `Condition` (experiment/concepts.hpp), and passes the registry
/// on.
class condition_registry {
 public:
  /// Makes a condition from what a list says behind its name and a colon.
  using maker = std::function<any_condition(const std::string& argument)>;

  /// The library's own: the seven of the matrix, the controls, `projected:FOLDER[@MODEL]` with controls of its own, and
  /// `from_files:DIR`.
  [[nodiscard]] static condition_registry standard();

  /// Adds a condition under its id. @throws value_error if that is taken
  void add(any_condition condition);
  /// Adds conditions that a list spells `NAME:ARGUMENT`.
  /// @param argument what help and complaints call the argument
  /// @throws value_error if the name is taken
  void add(std::string name, std::string argument, maker make);

  /// All ids, in the order of tables; those that need an argument are not among them.
  [[nodiscard]] std::vector<std::string> ids() const;
  /// How each is written, for help: the ids, and `from_files:DIR`.
  [[nodiscard]] std::vector<std::string> spellings() const;

  /// The conditions that a comma-separated list names, in the registry's order. `matrix` names the seven of the matrix,
  /// `controls` the controls, `all` every one that needs no argument.
  ///
  /// Behind a plus sign, policies and the other words of `moved_point` change a condition:
  /// `transfer+layers:2-4+keys,transfer+average:other,target,noise+tokens:0-3,7`. Behind a policy with an argument,
  /// what begins with no condition's name belongs to it. The argument of a condition has no comma in it.
  /// @throws value_error for an unknown or an empty name, listing the known ones; for a piece that is as much a
  /// condition as a part of the policy before, with its place (`transfer+average:other,zero`); and what `moved_point`
  /// throws
  [[nodiscard]] std::vector<any_condition> parse(std::string_view list) const;

  /// The one condition that a text names.
  /// @throws as `parse`
  [[nodiscard]] any_condition parse_one(std::string_view text) const;

  /// The policies that may stand behind a plus sign: a program adds its own here.
  [[nodiscard]] injection_policy_registry& policies() { return policies_; }
  /// Likewise, to be read.
  [[nodiscard]] const injection_policy_registry& policies() const { return policies_; }

 private:
  struct entry {
    maker make;
    std::string argument = {};  // empty: it takes none
    std::string group = {};     // by which lists may name it too
  };

  void add_to(std::string group, any_condition condition);
  [[nodiscard]] std::size_t index_of(std::string_view name) const;
  [[nodiscard]] bool knows(std::string_view name) const;
  /// The items of a list, commas inside policies left to these.
  [[nodiscard]] std::vector<std::string_view> items_of(std::string_view list) const;
  [[nodiscard]] any_condition with_suffix(const any_condition& base, std::string_view suffix) const;

  registry<entry> conditions_{"conditions", "id"};
  injection_policy_registry policies_ = injection_policy_registry::standard();
};

}  // namespace kvtransfer
