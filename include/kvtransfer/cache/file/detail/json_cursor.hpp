#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer::detail {

/// A value inside a file's JSON and the way to it, so that every complaint names file and field. Non-owning.
class json_cursor {
 public:
  /// @param field as complaints name it: `kvtransfer.frame`
  json_cursor(const nlohmann::json& value, std::string_view file, std::string field)
      : value_(&value), file_(file), field_(std::move(field)) {}

  std::string_view file() const { return file_; }
  const std::string& field() const { return field_; }

  /// @throws file_error always: file, field, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view expected) const {
    fail<file_error>(file_, field_, expected, excerpt(*value_));
  }

  /// @throws file_error unless this is an object of just these members
  void require_members(std::initializer_list<std::string_view> names) const {
    const auto present = [&](std::string_view name) { return value_->contains(name); };
    if (!value_->is_object() || value_->size() != names.size() || !std::all_of(names.begin(), names.end(), present)) {
      refuse(fmt::format("an object of {}", fmt::join(names, ", ")));
    }
  }

  /// @throws file_error unless this is an object with such a member
  json_cursor member(std::string_view name) const {
    const auto found = value_->is_object() ? value_->find(name) : value_->end();
    if (!value_->is_object() || found == value_->end()) {
      refuse(fmt::format("an object with {}", name));
    }
    return {*found, file_, fmt::format("{}.{}", field_, name)};
  }

  /// Calls `visit(name, member)` for every member of an object. @throws file_error unless it is one
  template <class Visit>
  void for_each_member(Visit&& visit) const {
    if (!value_->is_object()) {
      refuse("an object");
    }
    for (const auto& [name, value] : value_->items()) {
      visit(name, json_cursor(value, file_, fmt::format("{}.{}", field_, excerpt(name))));
    }
  }

  /// Calls `visit(item)` for every entry of a list. @throws file_error unless it is one
  template <class Visit>
  void for_each_item(Visit&& visit) const {
    if (!value_->is_array()) {
      refuse("a list");
    }
    for (std::size_t i = 0; i < value_->size(); ++i) {
      visit(json_cursor((*value_)[i], file_, fmt::format("{}[{}]", field_, i)));
    }
  }

  /// Entries of a list or members of an object.
  std::size_t size() const { return value_->size(); }

  std::string text() const {
    if (!value_->is_string()) {
      refuse("a string");
    }
    return value_->get<std::string>();
  }

  bool boolean() const {
    if (!value_->is_boolean()) {
      refuse("true or false");
    }
    return value_->get<bool>();
  }

  double number() const {
    if (!value_->is_number()) {
      refuse("a number");
    }
    return value_->get<double>();
  }

  /// An integer from 0 to `high`.
  std::int64_t integer_up_to(std::int64_t high) const {
    const bool negative =
        value_->is_number_integer() && !value_->is_number_unsigned() && value_->get<std::int64_t>() < 0;
    if (!value_->is_number_integer() || negative || value_->get<std::uint64_t>() > static_cast<std::uint64_t>(high)) {
      refuse(fmt::format("an integer from 0 to {}", high));
    }
    return value_->get<std::int64_t>();
  }

 private:
  const nlohmann::json* value_;
  std::string_view file_;
  std::string field_;
};

}  // namespace kvtransfer::detail
