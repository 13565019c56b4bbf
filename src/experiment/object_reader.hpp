#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer::detail {

/// One JSON object of a file, read strictly: every complaint names the file, the field's path, what was expected and
/// found.
///
/// Refers to the value it was made from; does not own it.
class object_reader {
 public:
  /// @param file name to put in front of complaints
  /// @param path of the object inside the file (`tests[2]`); empty for the whole document
  /// @throws file_error unless `value` is an object
  object_reader(const nlohmann::json& value, std::string file, std::string path = {})
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {
    if (!value.is_object()) {
      fail<file_error>(file_, path_.empty() ? "document" : path_, "an object", excerpt(value));
    }
  }

  [[nodiscard]] bool has(std::string_view key) const { return value_->contains(key); }

  /// The path of a field as complaints give it.
  [[nodiscard]] std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  /// Complains of a field. @throws file_error always
  [[noreturn]] void refuse(std::string_view key, std::string_view expected, std::string_view got) const {
    fail<file_error>(file_, path_of(key), expected, got);
  }

  /// Complains of a field by describing its value. @throws file_error always
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const {
    refuse(key, expected, has(key) ? excerpt(value_->at(std::string(key))) : "nothing");
  }

  /// The raw value of a field. @throws file_error if it is missing
  [[nodiscard]] const nlohmann::json& raw(std::string_view key, std::string_view expected = "a value") const {
    if (!has(key)) {
      refuse(key, expected);
    }
    return value_->at(std::string(key));
  }

  [[nodiscard]] std::string text(std::string_view key) const {
    return raw_if(key, "a string", [](const nlohmann::json& found) { return found.is_string(); }).get<std::string>();
  }

  [[nodiscard]] bool flag(std::string_view key) const {
    return raw_if(key, "true or false", [](const nlohmann::json& found) { return found.is_boolean(); }).get<bool>();
  }

  /// An integer of any sign, or, for an unsigned `Integer`, 0 or more.
  template <std::integral Integer>
  [[nodiscard]] Integer integer(std::string_view key) const {
    constexpr bool is_signed = std::signed_integral<Integer>;
    const auto is_expected = [](const nlohmann::json& found) {
      // Parsers give numbers from 0 on the unsigned type, programs often the signed one.
      return found.is_number_integer() && (is_signed || found.is_number_unsigned() || found.get<std::int64_t>() >= 0);
    };
    return raw_if(key, is_signed ? "an integer" : "an integer, 0 or more", is_expected).template get<Integer>();
  }

  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const {
    return list<std::string>(key, "a list of strings", [](const nlohmann::json& item) { return item.is_string(); });
  }

  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key) const {
    return list<std::int64_t>(key, "a list of integers",
                              [](const nlohmann::json& item) { return item.is_number_integer(); });
  }

  /// The list under `key`, whatever it holds. @throws file_error if it is missing or something else
  [[nodiscard]] const nlohmann::json& array(std::string_view key, std::string_view expected = "a list") const {
    return raw_if(key, expected, [](const nlohmann::json& found) { return found.is_array(); });
  }

  /// The object under `key`. @throws file_error if it is missing or something else
  [[nodiscard]] object_reader object(std::string_view key) const {
    return object_reader(raw(key, "an object"), file_, path_of(key));
  }

  /// The objects in the list under `key`. @throws file_error if it, or one of them, is something else
  [[nodiscard]] std::vector<object_reader> objects(std::string_view key) const {
    const nlohmann::json& items = array(key, "a list of objects");
    std::vector<object_reader> all;
    for (std::size_t i = 0; i < items.size(); ++i) {
      all.emplace_back(items[i], file_, fmt::format("{}[{}]", path_of(key), i));
    }
    return all;
  }

  /// The names of all fields.
  [[nodiscard]] std::vector<std::string> keys() const {
    std::vector<std::string> names;
    for (const auto& item : value_->items()) {
      names.push_back(item.key());
    }
    return names;
  }

  /// @throws file_error if there is a field that is not among `known`: a misspelt field would be ignored silently
  void allow_only(std::initializer_list<std::string_view> known) const {
    for (const std::string& key : keys()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        refuse(key, fmt::format("one of the fields {}", fmt::join(known, ", ")), "an unknown field");
      }
    }
  }

 private:
  template <class Predicate>
  const nlohmann::json& raw_if(std::string_view key, std::string_view expected, Predicate is_expected) const {
    const nlohmann::json& found = raw(key, expected);
    if (!is_expected(found)) {
      refuse(key, expected);
    }
    return found;
  }

  template <class Item, class Predicate>
  std::vector<Item> list(std::string_view key, std::string_view expected, Predicate is_item) const {
    const nlohmann::json& items = array(key, expected);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!is_item(items[i])) {
        fail<file_error>(file_, path_of(key), expected, fmt::format("{} at [{}]", excerpt(items[i]), i));
      }
    }
    return items.get<std::vector<Item>>();
  }

  const nlohmann::json* value_;
  std::string file_;
  std::string path_;
};

}  // namespace kvtransfer::detail
