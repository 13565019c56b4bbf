#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer {

/// A value inside a JSON document and the way to it: what does not fit becomes an error that names the file, the
/// field's path, what was expected and what was found. Non-owning: the document must outlive it.
///
/// A field is read in two ways: `member(key).text()` and `text(key)` demand it; `text(key, otherwise)` and
/// `find(key)` take one that is missing or null as not given, as transformers does in a configuration.
/// @tparam Error what is thrown: `file_error` for a file, `value_error` for a configuration that the caller holds
template <std::derived_from<error> Error>
class basic_json_reader {
 public:
  /// @param file name to put in front of complaints
  /// @param path of the value inside the file (`tests[2]`, `kvtransfer.frame`); empty for the whole document
  basic_json_reader(const nlohmann::json& value, std::string_view file, std::string path = {})
      : value_(&value), file_(file), path_(std::move(path)) {}

  /// The JSON itself, for what this reader has no call for.
  [[nodiscard]] const nlohmann::json& value() const { return *value_; }
  /// What stands in front of complaints, as given.
  [[nodiscard]] std::string_view file() const { return file_; }
  /// The way from the document's root, as `tests[2].source`; empty for the whole document.
  [[nodiscard]] std::string_view path() const { return path_; }

  /// @throws Error always: file, path, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view expected) const { refuse_with(expected, excerpt(*value_)); }

  /// Likewise, of the field `key`. @throws Error always
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const {
    const nlohmann::json* found = raw(key);
    fail<Error>(file_, path_of(key), expected, found == nullptr ? "nothing" : excerpt(*found));
  }

  /// Likewise, of what a caller words itself. @throws Error always
  [[noreturn]] void refuse_with(std::string_view expected, std::string_view got) const {
    fail<Error>(file_, path_.empty() ? "document" : path_, expected, got);
  }

  // --- this value ---

  /// A string. @throws Error for anything else
  [[nodiscard]] std::string text() const { return expect(value_->is_string(), "a string").template get<std::string>(); }

  /// True or false. @throws Error for anything else, 0 and 1 included
  [[nodiscard]] bool boolean() const { return expect(value_->is_boolean(), "true or false").template get<bool>(); }

  /// Any JSON number. @throws Error for anything else
  [[nodiscard]] double number() const { return expect(value_->is_number(), "a number").template get<double>(); }

  /// A number that a double holds: 1e999 reads as infinite and is refused. @throws Error for anything else
  [[nodiscard]] double finite_number() const {
    expect(value_->is_number() && std::isfinite(value_->get<double>()), "a finite number");
    return value_->get<double>();
  }

  /// A finite number above zero. @throws Error for anything else
  [[nodiscard]] double positive_number() const {
    const bool positive = value_->is_number() && std::isfinite(value_->get<double>()) && value_->get<double>() > 0;
    return expect(positive, "a number above zero").template get<double>();
  }

  /// A whole number from `low` to `high`, both included.
  [[nodiscard]] std::int64_t integer(std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                                     std::int64_t high = std::numeric_limits<std::int64_t>::max()) const {
    if (!is_int64(*value_) || value_->get<std::int64_t>() < low || value_->get<std::int64_t>() > high) {
      refuse(describe_range(low, high));
    }
    return value_->get<std::int64_t>();
  }

  /// A list of whole numbers. @throws Error that names the first entry which is none
  [[nodiscard]] std::vector<std::int64_t> integers() const {
    return list<std::int64_t>("a list of integers", is_int64);
  }

  /// A list of strings. @throws Error that names the first entry which is none
  [[nodiscard]] std::vector<std::string> texts() const {
    return list<std::string>("a list of strings", [](const nlohmann::json& item) { return item.is_string(); });
  }

  /// Entries of a list or members of an object; 0 for anything else.
  [[nodiscard]] std::size_t size() const { return value_->is_structured() ? value_->size() : 0; }

  /// Entry `index` of a list that has it.
  [[nodiscard]] basic_json_reader item(std::size_t index) const {
    return {(*value_)[index], file_, fmt::format("{}[{}]", path_, index)};
  }

  /// Calls `visit(item)` for every entry of a list. @throws Error unless it is one
  template <class Visit>
  void for_each_item(Visit&& visit) const {
    expect(value_->is_array(), "a list");
    for (std::size_t i = 0; i < value_->size(); ++i) {
      visit(item(i));
    }
  }

  /// Calls `visit(name, member)` for every member of an object. @throws Error unless it is one
  template <class Visit>
  void for_each_member(Visit&& visit) const {
    expect(value_->is_object(), "an object");
    for (const auto& [name, value] : value_->items()) {
      visit(name, basic_json_reader(value, file_, path_of(name)));
    }
  }

  // --- members of this object ---

  /// True if there is a member of this name, null or not.
  [[nodiscard]] bool contains(std::string_view key) const { return raw(key) != nullptr; }

  /// The member, unless it is missing or null.
  [[nodiscard]] std::optional<basic_json_reader> find(std::string_view key) const {
    const nlohmann::json* found = raw(key);
    return found == nullptr || found->is_null() ? std::nullopt
                                                : std::optional(basic_json_reader(*found, file_, path_of(key)));
  }

  /// @throws Error unless this is an object with such a member
  [[nodiscard]] basic_json_reader member(std::string_view key) const {
    const nlohmann::json* found = raw(key);
    if (found == nullptr) {
      refuse(fmt::format("an object with {}", key));
    }
    return {*found, file_, path_of(key)};
  }

  /// The object under `key`, as `objects` gives those of a list. @throws Error if it is missing or something else
  [[nodiscard]] basic_json_reader object(std::string_view key) const {
    if (raw(key) == nullptr || !raw(key)->is_object()) {
      refuse(key, "an object");
    }
    return member(key);
  }

  /// A reader for each entry of the list under `key`. @throws Error unless it is a list of objects alone
  [[nodiscard]] std::vector<basic_json_reader> objects(std::string_view key) const {
    std::vector<basic_json_reader> all;
    if (raw(key) == nullptr || !raw(key)->is_array()) {
      refuse(key, "a list of objects");
    }
    member(key).for_each_item([&](const basic_json_reader& item) {
      item.expect(item.value().is_object(), "an object");
      all.push_back(item);
    });
    return all;
  }

  /// The string under `key`. @throws Error if it is missing or something else
  [[nodiscard]] std::string text(std::string_view key) const { return demanded(key, "a string").text(); }
  /// Likewise, or `otherwise` where the field is missing or null. @throws Error if it is something else
  [[nodiscard]] std::string text(std::string_view key, std::string_view otherwise) const {
    const auto found = find(key);
    return found ? found->text() : std::string(otherwise);
  }

  /// The strings, or the whole numbers, listed under `key`. @throws Error if it is missing or something else
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const {
    return demanded(key, "a list of strings").texts();
  }
  /// Likewise. @throws Error if it is missing or something else
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key) const {
    return demanded(key, "a list of integers").integers();
  }

  /// The truth value under `key`. @throws Error if it is missing or something else
  [[nodiscard]] bool boolean(std::string_view key) const { return demanded(key, "true or false").boolean(); }
  /// Likewise, or `otherwise` where the field is missing or null. @throws Error if it is something else
  [[nodiscard]] bool boolean(std::string_view key, bool otherwise) const {
    const auto found = find(key);
    return found ? found->boolean() : otherwise;
  }

  /// A finite number above zero under `key`, or `otherwise` where it is missing or null. @throws Error for anything
  /// else
  [[nodiscard]] double positive_number(std::string_view key, double otherwise) const {
    const auto found = find(key);
    return found ? found->positive_number() : otherwise;
  }

  /// A size: 1 to `high`.
  [[nodiscard]] std::int64_t size_of(std::string_view key, std::optional<std::int64_t> otherwise = {},
                                     std::int64_t high = 2'147'483'647) const {
    const auto found = find(key);
    if (!found && !otherwise) {
      refuse(key, describe_range(1, high));
    }
    return found ? found->integer(1, high) : *otherwise;
  }

  /// The names of all members.
  [[nodiscard]] std::vector<std::string> keys() const {
    std::vector<std::string> names;
    for (const auto& member : expect(value_->is_object(), "an object").items()) {
      names.push_back(member.key());
    }
    return names;
  }

  /// @throws Error unless this is an object of just these members
  void require_members(std::initializer_list<std::string_view> names) const {
    const auto present = [&](std::string_view name) { return contains(name); };
    if (!value_->is_object() || value_->size() != names.size() || !std::ranges::all_of(names, present)) {
      refuse(fmt::format("an object of {}", fmt::join(names, ", ")));
    }
  }

  /// @throws Error if there is a member that is not among `known`: a misspelt one would be ignored silently
  void allow_only(std::initializer_list<std::string_view> known) const {
    for (const std::string& key : keys()) {
      if (std::ranges::find(known, key) == known.end()) {
        fail<Error>(file_, path_of(key), fmt::format("one of the fields {}", fmt::join(known, ", ")),
                    "an unknown field");
      }
    }
  }

 private:
  /// Parsers give numbers from 0 on the unsigned type; one past int64 would change its sign.
  [[nodiscard]] static bool is_int64(const nlohmann::json& value) {
    return value.is_number_unsigned()
               ? value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}
               : value.is_number_integer();
  }

  [[nodiscard]] const nlohmann::json* raw(std::string_view key) const {
    const auto found = value_->is_object() ? value_->find(key) : value_->end();
    return value_->is_object() && found != value_->end() ? &*found : nullptr;
  }

  [[nodiscard]] std::string path_of(std::string_view key) const {
    std::string path(path_);
    if (!path.empty()) {
      path.push_back('.');
    }
    return path.append(is_plain(key) ? key : std::string_view(excerpt(key)));
  }

  /// Whether a member's name stands in a one-line message as it is. Another is shown as JSON has it, and cut.
  [[nodiscard]] static bool is_plain(std::string_view key) {
    constexpr std::size_t longest = 96;
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    return !key.empty() && key.size() <= longest && std::ranges::none_of(key, is_control);
  }

  [[nodiscard]] static std::string describe_range(std::int64_t low, std::int64_t high) {
    const bool bounded_below = low != std::numeric_limits<std::int64_t>::min();
    const bool bounded_above = high != std::numeric_limits<std::int64_t>::max();
    return bounded_below && (bounded_above || low != 0) ? fmt::format("an integer from {} to {}", low, high)
           : bounded_below                              ? "an integer, 0 or more"
                                                        : "an integer";
  }

  // NOLINTNEXTLINE(modernize-use-nodiscard): as often called for the complaint alone
  const nlohmann::json& expect(bool holds, std::string_view expected) const {
    if (!holds) {
      refuse(expected);
    }
    return *value_;
  }

  [[nodiscard]] basic_json_reader demanded(std::string_view key, std::string_view expected) const {
    if (raw(key) == nullptr) {
      refuse(key, expected);
    }
    return member(key);
  }

  template <class Item, class Predicate>
  [[nodiscard]] std::vector<Item> list(std::string_view expected, Predicate is_item) const {
    expect(value_->is_array(), expected);
    for (std::size_t i = 0; i < value_->size(); ++i) {
      if (!is_item((*value_)[i])) {
        refuse_with(expected, fmt::format("{} at [{}]", excerpt((*value_)[i]), i));
      }
    }
    return value_->get<std::vector<Item>>();
  }

  const nlohmann::json* value_;
  std::string_view file_;
  std::string path_;
};

using json_reader = basic_json_reader<file_error>;  ///< For files: complains by file_error.

}  // namespace kvtransfer
