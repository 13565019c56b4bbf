#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "syntax.hpp"

namespace kvtransfer::detail {

class template_value;
using value_list = std::vector<template_value>;
using value_map = std::vector<std::pair<std::string, template_value>>;  ///< in the order of insertion

/// A name, an attribute or an item that is not there: prints nothing, is false, and can't be reckoned with.
struct undefined_value {
  std::string name;
};
struct none_value {};
/// A function of the environment, such as `range`, by its name.
struct function_value {
  std::string name;
};
struct macro_value {
  const template_statement* macro;
};
/// What `namespace()` makes: the one thing that a template can change. Equal to itself alone.
struct namespace_value {
  std::shared_ptr<value_map> attributes;
};

/// A value in a template. Cheap to copy; lists and maps are never changed once they are made.
class template_value {
 public:
  template_value() : value_(none_value{}) {}
  template_value(undefined_value value) : value_(std::move(value)) {}
  template_value(function_value value) : value_(std::move(value)) {}
  template_value(macro_value value) : value_(value) {}
  template_value(namespace_value value) : value_(std::move(value)) {}
  template_value(std::string value) : value_(std::move(value)) {}
  template_value(std::string_view value) : value_(std::string(value)) {}
  template_value(const char* value) : value_(std::string(value)) {}
  template_value(std::int64_t value) : value_(value) {}
  template_value(std::size_t value) : value_(static_cast<std::int64_t>(value)) {}
  template_value(bool value) : value_(value) {}
  /// @throws template_error for lists and maps that are nested too deeply or too heavy
  template_value(value_list items);
  template_value(value_map items);

  template <class T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&value_);
  }
  template <class T>
  [[nodiscard]] bool is() const {
    return get_if<T>() != nullptr;
  }
  [[nodiscard]] const value_list* list() const;
  [[nodiscard]] const value_map* map() const;
  [[nodiscard]] const std::string* string() const { return get_if<std::string>(); }

  [[nodiscard]] bool truth() const;
  /// What printing it gives. @throws template_error for a list, a map or a function, whose spelling is Python's
  [[nodiscard]] std::string text() const;
  /// For messages: "a string", "undefined 'tools'", ….
  [[nodiscard]] std::string description() const;

  /// What handling it costs: the items in it, lists in lists counted out, and a unit for every 16 bytes of text.
  [[nodiscard]] std::size_t weight() const;

  friend bool operator==(const template_value& left, const template_value& right);

 private:
  struct list_node {
    value_list items;
    int depth;
    std::size_t weight;
  };
  struct map_node {
    value_map items;
    int depth;
    std::size_t weight;
  };
  [[nodiscard]] int depth() const;

  std::variant<undefined_value, none_value, bool, std::int64_t, std::string, std::shared_ptr<const list_node>,
               std::shared_ptr<const map_node>, function_value, macro_value, namespace_value>
      value_;
};

/// The entry of a map, or null.
[[nodiscard]] const template_value* find_entry(const value_map& map, std::string_view key);

}  // namespace kvtransfer::detail
