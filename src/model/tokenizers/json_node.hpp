#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer::detail {

/// A value somewhere in a JSON file, which knows its place: "tokenizer.json: model.merges[3]: expected …".
///
/// Every tokenizer file is read through this. A null counts as missing. Non-owning: the file's content must outlive it.
class json_node {
 public:
  json_node(const nlohmann::json& value, std::string_view file, std::string place = {})
      : value_(&value), file_(file), place_(std::move(place)) {}

  const nlohmann::json& value() const { return *value_; }
  std::string_view file() const { return file_; }
  /// File and place, as errors have them.
  std::string where() const { return place_.empty() ? std::string(file_) : fmt::format("{}: {}", file_, place_); }

  /// The value under `key`, or nothing where it is missing or null. @throws file_error if this is no object
  std::optional<json_node> find(std::string_view key) const {
    if (!value_->is_object()) {
      refuse("an object");
    }
    const auto found = value_->find(key);
    return found == value_->end() || found->is_null() ? std::nullopt : std::optional(child(*found, key));
  }

  json_node at(std::string_view key) const {
    const auto found = find(key);
    if (!found) {
      fail<file_error>(file_, place_of(key), "a value", value_->contains(key) ? "null" : "no such key");
    }
    return *found;
  }

  /// Refuses any key but those named: what is not understood may matter.
  void only(std::initializer_list<std::string_view> known) const {
    if (!value_->is_object()) {
      refuse("an object");
    }
    for (const auto& [key, ignored] : value_->items()) {
      bool is_known = false;
      for (const std::string_view one : known) {
        is_known = is_known || one == key;
      }
      if (!is_known) {
        fail<file_error>(file_, place_.empty() ? "JSON" : place_, fmt::format("keys of {}", fmt::join(known, ", ")),
                         excerpt(key));
      }
    }
  }

  std::size_t size() const {
    if (!value_->is_array()) {
      refuse("a list");
    }
    return value_->size();
  }
  json_node at(std::size_t i) const {
    if (i >= size()) {
      refuse(fmt::format("at least {} values", i + 1));
    }
    return {(*value_)[i], file_, fmt::format("{}[{}]", place_, i)};
  }

  const std::string& text() const {
    if (!value_->is_string()) {
      refuse("a string");
    }
    return value_->get_ref<const std::string&>();
  }
  bool boolean() const {
    if (!value_->is_boolean()) {
      refuse("true or false");
    }
    return value_->get<bool>();
  }
  std::int32_t integer(std::int32_t least = 0) const {
    if (!value_->is_number_integer() || *value_ < least || *value_ > INT32_MAX) {
      refuse(fmt::format("an integer from {} to {}", least, INT32_MAX));
    }
    return value_->get<std::int32_t>();
  }

  bool boolean(std::string_view key, bool otherwise) const {
    const auto found = find(key);
    return found ? found->boolean() : otherwise;
  }

  /// @throws file_error always: file, place, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view expected) const {
    fail<file_error>(file_, place_.empty() ? "JSON" : place_, expected, excerpt(*value_));
  }

 private:
  std::string place_of(std::string_view key) const {
    return place_.empty() ? std::string(key) : fmt::format("{}.{}", place_, key);
  }
  json_node child(const nlohmann::json& value, std::string_view key) const { return {value, file_, place_of(key)}; }

  const nlohmann::json* value_;
  std::string_view file_;
  std::string place_;
};

}  // namespace kvtransfer::detail
