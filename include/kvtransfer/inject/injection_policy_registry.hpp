#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/policy_arguments.hpp"
#include "kvtransfer/inject/select/selected.hpp"

namespace kvtransfer {

namespace detail {

/// What is left out comes from a donor where a second field says so: `other`, `other.keys`, `other.values`.
selected with_rest(selected chosen, const policy_arguments& arguments);

template <class Span>
Span span_of(const policy_arguments& arguments) {
  const std::string_view text = arguments.field(0);
  if (text.front() < '0' || text.front() > '9') {
    return Span(arguments.name(0));
  }
  const auto [first, last] = arguments.closed_range(0);
  return Span(first, last);
}

}  // namespace detail

// clang-format off: a table is no running text

/// Injection policies by name, each made from what a text says behind its name; a text joins several by a plus sign:
/// `layers:2-4+keys+gap:16`. A program adds its own and passes the registry on.
///
/// Policies apply from left to right; ranges have both ends in them (`4-` has none), several are joined by commas.
///
/// | text                     | in C++                            | for what                                          |
/// |--------------------------|-----------------------------------|---------------------------------------------------|
/// | `all`                    | `any_injection_policy()`          | everything as it is: the control                  |
/// | `layers:2-4`             | `layers(2, 4)`                    | which layers carry it                             |
/// | `heads:0-1`, `heads:3.1` | `heads(0, 1)`                     | which KV heads do, of all layers or of layer 3    |
/// | `q-heads:5`              | `query_heads(5, 5)`               | the KV head of a query head (`notes`: who shares) |
/// | `tokens:0-3`             | `tokens(0, 3)`                    | which tokens do                                   |
/// | `span:fact`, `span:3-7`  | `only_span("fact")`               | the part of the text that says it …               |
/// | `after:fact`             | `after_span("fact")`              | … and what has read that part                     |
/// |                          | `where("odd", function)`          | any other choice of slots                         |
/// | `without-layers:2`, …    | `without(layers(2, 2))`           | all but it: is it necessary, not only sufficient  |
/// | `layers:2-4:other`       | `filled(layers(2, 4), "other")`   | the rest from a donor instead of nothing          |
/// | `layers:2-4:other.keys`  | `filled(…, cache_half::keys)`     | one half of the rest                              |
/// | `keys`, `keys:other`     | `keys_only("other")`              | where a query looks, without what it finds        |
/// | `values`, `values:other` | `values_only("other")`            | what it finds, without where it looks             |
/// | `blend:0.5:other`        | `compose::blend{0.5, "other"}`    | a dose of the source                              |
/// | `add:0.5:other`          | `compose::add{0.5, direction}`    | steering along a direction                        |
/// | `average:target,other`   | `compose::average{{…}}`           | what caches have in common                        |
/// | `prepend:…`, `append:…`  | `compose::prepend{"other"}`       | several sources in order                          |
/// | `insert:4:other`         | `compose::insert{4, "other"}`     | another text inside that of the source            |
/// | `replace:3-7:other`      | `compose::replace{3, 7, "other"}` | one part exchanged, the rest as it was written    |
/// | `interleave:other`       | `compose::interleave{"other"}`    | two sources in turn                               |
/// | `kept`                   | `place::kept{}`                   | keys where they stood (the default, said)         |
/// | `closed`                 | `place::closed{}`                 | what is left as a text of its own                 |
/// | `shift:-3`               | `place::shift{-3}`                | an error of position                              |
/// | `unrotated`              | `place::unrotated{}`              | keys without their order                          |
/// | `offset`                 | `place::offset{}`                 | the text behind the source (the default, said)    |
/// | `restart`                | `place::restart{}`                | the text at 0, as if nothing stood in front of it |
/// | `gap:16`                 | `place::gap{16}`                  | free positions between source and text            |
/// | `at:20`                  | `place::at{20}`                   | the text at a position                            |
///
/// Donors are other caches by role: `zero` (zeros; what `keys` and `values` mean where none is named, since zeros alone
/// are always there), `target` (the cache of the text's own prompt) and `other` (another example's, the control that
/// counts). A program supplies them in an `injection_context`; `any_injection_policy::roles` says which are wanted. A
/// donor is cut and moved as the source has been, slot by slot.
///
/// What is not here, and why:
/// - Noise and shuffles: they are sources, not ways to inject one (`noise.hpp`, `controls.hpp`).
/// - Slots chosen by attention (SnapKV, H2O): they need a model, which this folder does not know. `where` takes their
///   choice.
/// - Donors of another length, resampled: there is no neutral way to pair their slots. Pair them first (`gather`).
/// - Donors of another model: that is what `project` is for.
/// - Keys under another rotary specification: `cache::reframe` before injecting says so once, for all policies.
/// - A place for keys in the middle of the text: a plan reads what is injected before its tokens.
// clang-format on
class injection_policy_registry {
 public:
  /// Makes a policy from its arguments.
  using maker = std::function<any_injection_policy(const policy_arguments& arguments)>;
  /// How a policy is written, and what makes it.
  struct entry {
    std::string example;  ///< for complaints and for help: `gap:16`
    maker make;           ///< throws `value_error` through the arguments
  };

  /// All policies of the library; donors `target` (the cache of the text's own prompt), `other` (that of another
  /// example) and `zero`.
  [[nodiscard]] static injection_policy_registry standard();

  /// @param example how it is written, for complaints and for help
  /// @throws value_error if the name is empty, taken, or none that a text can say
  void add(std::string name, std::string example, maker make);

  /// A name for another cache, which texts may then say. @throws value_error if it is taken
  void add_role(std::string role);

  /// How each policy is written, in the order in which they were added: for help.
  [[nodiscard]] std::vector<std::string> examples() const;

  /// The policies that a text joins by plus signs. What `describe` gives of the result parses to the same.
  /// @throws value_error that shows the place in the text and what would be right there
  [[nodiscard]] any_injection_policy parse(std::string_view text) const;

 private:
  [[nodiscard]] any_injection_policy made_of(std::string_view piece, std::string_view text) const;

  /// A selection and all but it, each with the rest from a donor where the text says so.
  template <class Make>
  void add_selection(const std::string& name, const std::string& argument, Make make) {
    add(name, fmt::format("{}:{}", name, argument),
        [make](const policy_arguments& arguments) { return detail::with_rest(make(arguments), arguments); });
    add(fmt::format("without-{}", name), fmt::format("without-{}:{}", name, argument),
        [make](const policy_arguments& arguments) { return detail::with_rest(without(make(arguments)), arguments); });
  }

  void add_selections();

  void add_halves();

  void add_compositions();

  void add_places();

  static maker without_argument(const any_injection_policy& policy);

  registry<entry> makers_{"injection policy", "name"};
  std::vector<std::string> roles_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/injection_policy_registry.ipp"  // IWYU pragma: export
#endif
